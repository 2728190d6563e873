"""How is a model reached?"""
