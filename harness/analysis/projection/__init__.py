"""Energy and compute of a dense and a sparse-expert model at full scale, projected from their configs.

Everything here is a model (grade D): never a measurement, never a verdict.
"""
