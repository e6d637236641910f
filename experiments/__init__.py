"""Hydra entry points: the only importer of hydra and omegaconf, installed as harness.experiments."""
