"""How does an instance stand alone on its machine: its ports, its Ray, its front, and nothing left when it ends?"""
