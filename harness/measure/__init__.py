"""Measurement windows over sensors: energy, its uncertainty and its findings. Does not know what it measures."""

from harness.measure.baseline import check_idle_drift, measure_idle
from harness.measure.meter import Meter
from harness.measure.window import Window

__all__ = ["Meter", "Window", "check_idle_drift", "measure_idle"]
