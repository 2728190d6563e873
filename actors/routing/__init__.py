"""Which models should answer?"""
