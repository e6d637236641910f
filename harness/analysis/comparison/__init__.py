"""Two or more studies side by side: what they share, what may be pooled, and how far their ratios lie apart."""
