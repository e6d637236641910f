"""Records of inference: figures per regime, views over a sweep, comparisons of models and servers (no torch)."""
