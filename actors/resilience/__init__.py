"""May I call now, and what if it fails?"""
