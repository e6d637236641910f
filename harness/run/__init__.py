"""Executes one run: builds, opens measurement windows, writes one record; isolates it in a process of its own."""
