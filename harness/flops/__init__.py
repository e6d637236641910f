"""Floating point operations: by formula from a configuration, and traced from real operators as a check."""
