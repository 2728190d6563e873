"""What does a piece of code do, where it can do no harm?"""
