"""Fits and predictions for other programs: everything as JSON, and the constants that ``isojoule project`` reads."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.analysis.roofline.results import Roofline, StepFit
from harness.analysis.summary import SCHEMA_VERSION, plain_data
from harness.core.errors import ConfigError

_PICO = 1e12


def roofline_to_json(roofline: Roofline) -> dict[str, Any]:
    """Return all of `roofline` as plain dicts, lists and scalars; unknown is null beside its reason.

    Each fit has the ``word`` for its energy; predictions are ``projected`` from energy of their ``word``.
    """
    content = dataclasses.asdict(roofline)
    for plain, fit in zip(content["fits"], roofline.fits, strict=True):
        plain["word"] = fit.word
    for plain, prediction in zip(content["predictions"], roofline.predictions, strict=True):
        plain |= {"word": prediction.word, "kind": "projected"}
    found: dict[str, Any] = plain_data({"schema_version": SCHEMA_VERSION, **content})
    return found


def constants_to_json(roofline: Roofline) -> dict[str, Any]:
    """Return the decode constants of the baseline arm with the facts of their source, for ``project --constants``.

    `rms` is the relative error on the fit's own windows, as the projection's own constants have it.

    Raises:
        ConfigError: there are none, or the energy is simulated.
    """
    fit = roofline.fit_of(roofline.baseline_arm, "decode")
    if fit.constants is None:
        raise ConfigError(f"no constants to write: decode of '{fit.arm}': {fit.reason}.")
    if fit.simulated:
        raise ConfigError("no constants are written: the energy is simulated, so they are those of no device.")
    return {**_plain_constants(fit), **_facts(roofline, fit)}


def _plain_constants(fit: StepFit) -> dict[str, Any]:
    assert fit.constants is not None  # noqa: S101  # the caller has seen them
    return {
        "j_per_step": fit.constants["j_per_step"].value,
        "pj_per_byte": fit.constants["j_per_byte"].value * _PICO,
        "pj_per_flop": fit.constants["j_per_flop"].value * _PICO,
        "rms": fit.rms,
    }


def _facts(roofline: Roofline, fit: StepFit) -> dict[str, Any]:
    return {
        "held_out_rms": fit.held_out_rms,
        "phase": fit.phase,
        "arm": fit.arm,
        "study": roofline.study,
        "card": roofline.device,
        "num_observations": fit.num_observations,
        "num_workloads": fit.num_workloads,
        "told_apart": not fit.mixed,
        "energy": roofline.energy,
        "boundary": list(fit.domains),
        "grade": fit.grade,
        "simulated": fit.simulated,
    }
