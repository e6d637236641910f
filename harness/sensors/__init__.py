"""Sensors: one file per vendor, whose library is imported only when it is used. SI units past this layer."""

from harness.sensors.base import Backend, DeviceState, Sensor, SensorStatus
from harness.sensors.discover import SENSORS, discover_sensors, list_sensors, open_sensors, preload_sensors

__all__ = [
    "SENSORS",
    "Backend",
    "DeviceState",
    "Sensor",
    "SensorStatus",
    "discover_sensors",
    "list_sensors",
    "open_sensors",
    "preload_sensors",
]
