"""Statistics held against simulated studies whose truth is known."""
