"""Scaling laws of one or more families of models: robust fits, bootstrap intervals, optima, predictions, multipliers."""
