"""How is a question put to a model?"""
