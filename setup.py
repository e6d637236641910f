"""Lists the packages; conf/ and experiments/ are grafted below `harness` (see package-dir in pyproject.toml)."""

from setuptools import find_namespace_packages, setup

GRAFTED = ["harness.conf", "harness.experiments", "hydra_plugins.isojoule"]
setup(packages=[*find_namespace_packages(include=["harness", "harness.*"]), *GRAFTED])
