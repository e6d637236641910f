"""Published causal language models in a folder, run by `transformers` as they are (an optional dependency)."""
