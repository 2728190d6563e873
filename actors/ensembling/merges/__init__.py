"""Which answer wins? One file per merge strategy."""
