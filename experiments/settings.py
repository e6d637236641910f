"""Settings of the meter from ``KEY=VALUE`` words, for verbs that compose no experiment."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.core.config import MeasureConfig
from harness.core.errors import ConfigError


def read_meter_settings(settings: Sequence[str]) -> MeasureConfig:
    """Return the meter's configuration with ``KEY=VALUE`` settings applied.

    Raises:
        ConfigError: a key or a value that it does not have.
    """
    wrong = next((text for text in settings if "=" not in text), None)
    if wrong is not None:
        raise ConfigError(f"--set '{wrong}' is no setting; write KEY=VALUE, e.g. --set poll_interval_s=0.02")
    try:
        given = OmegaConf.from_dotlist([text.removeprefix("measure.") for text in settings])
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MeasureConfig), given))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "a key"
        raise ConfigError(f"--set {key}: {str(error).splitlines()[0]}.") from error
    if not isinstance(config, MeasureConfig) or config.poll_interval_s <= 0:
        raise ConfigError("--set poll_interval_s must be above 0 (seconds).")
    return config
