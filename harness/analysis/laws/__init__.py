"""Scaling laws per family of models: robust fits, bootstrap intervals, optima, predictions, multipliers."""
