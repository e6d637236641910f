"""Configs, records, the store and the small tools that every other layer stands on (no torch, no vendor library)."""
