"""Fairness as code over records: one file a subject; `checks` runs them all."""
