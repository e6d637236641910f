"""Text: which files, how they are split and tokenised, and how batches are drawn. No torch."""

from harness.data.prepare import Dataset, prepare_data

__all__ = ["Dataset", "prepare_data"]
