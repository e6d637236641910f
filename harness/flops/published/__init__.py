"""Published models by their `config.json` alone: parameters, FLOPs, cache and weight bytes, without torch."""
