"""What do the parts say to each other? Messages, ports, the error tree, clock and deadline."""
