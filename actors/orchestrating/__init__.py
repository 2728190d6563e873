"""How is one request played: whom to call, within which limits, one after the other or all together?"""
