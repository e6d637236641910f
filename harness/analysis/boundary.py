"""The headline boundary of energy under the name that analyses know it by; rows of answers share by the same rule."""

from harness.core.boundary import BoundaryEnergy, add_boundaries, counts_device, select_boundary, sum_boundary

__all__ = ["BoundaryEnergy", "add_boundaries", "counts_device", "select_boundary", "sum_boundary"]
