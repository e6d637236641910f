"""Inference: prefill and greedy decode with a KV cache. Nothing here knows that it is measured."""
