"""The shipped Hydra configs, installed as harness.conf."""
