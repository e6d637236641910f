"""Units of work with a right or wrong outcome."""
