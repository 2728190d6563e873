"""Troupe: a company of models played as one. A file here runs; a folder here knows something."""
