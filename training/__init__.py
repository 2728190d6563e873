"""How what is learned before the first request is made."""
