"""How good are merged answers, on questions whose answers are known?"""
