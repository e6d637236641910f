"""Language models of two families, dense and sparse experts, built from one readable transformer."""

from harness.models.build import build_model, count_params

__all__ = ["build_model", "count_params"]
