"""What the machinery of studies costs, over the same training done bare."""
