"""How do many answers become one?"""
