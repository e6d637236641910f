"""A search of learning rate and batch, read back from its records."""
