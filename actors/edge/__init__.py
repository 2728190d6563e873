"""How does the outside world enter? Config, HTTP, authentication, Ray."""
