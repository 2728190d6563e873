"""What did outcomes teach us?"""
