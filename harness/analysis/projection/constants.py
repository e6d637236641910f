"""The three constants of a decode step's energy, and where they come from: fitted, scaled or calibrated here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.analysis.projection.files import parse_json, read_text
from harness.analysis.projection.hardware import REFERENCE_CARD, Card, load_card
from harness.core.errors import ConfigError
from harness.core.readings import Grade

Origin = Literal["fitted", "scaled_by_assumption", "calibrated_here"]
_PICO = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConstants:
    """Energy of one decode step on one card: ``j_per_step + j_per_byte * bytes + j_per_flop * FLOPs``.

    `rms` is the relative error of the fit; ``None`` with `rms_reason` where there is no fit.
    """

    j_per_step: float
    j_per_byte: float
    j_per_flop: float
    constants_origin: Origin
    rms: float | None
    rms_reason: str | None
    source: str


class _CalibrationFile(BaseModel):
    """What a calibration of this machine wrote; further keys are its own business.

    `isojoule roofline --constants` adds what they were fitted to; `told_apart` is false where single constants mean
    little.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    j_per_step: float = Field(ge=0, allow_inf_nan=False)
    pj_per_byte: float = Field(ge=0, allow_inf_nan=False)
    pj_per_flop: float = Field(ge=0, allow_inf_nan=False)
    rms: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    grade: Grade | None = None
    simulated: bool = False
    study: str | None = None
    card: str | None = None
    num_observations: int | None = Field(default=None, ge=1)
    told_apart: bool = True


def choose_constants(card: Card, calibration: Path | None = None) -> DecodeConstants:
    """Return the constants of a calibration file, else the card's fitted ones, else the reference card's, scaled.

    Raises:
        ConfigError: the calibration file cannot be read, lacks a constant, or has only zeros.
    """
    if calibration is not None:
        return _load_calibration(calibration)
    fitted = card.constants
    if fitted is None:
        return scale_constants(card, load_card(REFERENCE_CARD))
    return DecodeConstants(
        j_per_step=fitted.j_per_step,
        j_per_byte=fitted.pj_per_byte * _PICO,
        j_per_flop=fitted.pj_per_flop * _PICO,
        constants_origin="fitted",
        rms=fitted.rms,
        rms_reason=None if fitted.rms is not None else "the fit's error is not given",
        source=fitted.source,
    )


def scale_constants(card: Card, reference: Card) -> DecodeConstants:
    """Scale the reference card's fitted constants to `card`: an assumption, not a fit.

    Energy per step goes with the power limit, per byte with power limit over bandwidth, per FLOP with power limit over
    the BF16 peak.
    """
    fitted = reference.constants
    assert fitted is not None  # noqa: S101  # a test holds the reference card to it
    power = card.power_limit_w.value / reference.power_limit_w.value
    bandwidth = card.bandwidth_bytes_per_s.value / reference.bandwidth_bytes_per_s.value
    peak = card.bf16_flops_per_s.value / reference.bf16_flops_per_s.value
    return DecodeConstants(
        j_per_step=fitted.j_per_step * power,
        j_per_byte=fitted.pj_per_byte * _PICO * power / bandwidth,
        j_per_flop=fitted.pj_per_flop * _PICO * power / peak,
        constants_origin="scaled_by_assumption",
        rms=None,
        rms_reason=f"nothing was fitted on {card.name}",
        source=(
            f"assumed: the constants of {reference.name}, per step scaled by power limit ({power:.3g}),"
            f" per byte by power limit / bandwidth ({power / bandwidth:.3g}), per FLOP by power limit / BF16 peak"
            f" ({power / peak:.3g})"
        ),
    )


def _load_calibration(path: Path) -> DecodeConstants:
    content = parse_json(read_text(path), str(path), _CalibrationFile)
    if content.j_per_step == content.pj_per_byte == content.pj_per_flop == 0:
        raise ConfigError(f"{path}: all three constants are 0; a calibration gives at least one above 0.")
    return DecodeConstants(
        j_per_step=content.j_per_step,
        j_per_byte=content.pj_per_byte * _PICO,
        j_per_flop=content.pj_per_flop * _PICO,
        constants_origin="calibrated_here",
        rms=content.rms,
        rms_reason=None if content.rms is not None else "the calibration gives no error ('rms')",
        source="; ".join([str(path), *_describe_source(content)]),
    )


def _describe_source(content: _CalibrationFile) -> list[str]:
    """Return what the file says of where its constants come from, what is no measurement first."""
    told = []
    if content.simulated:
        told.append("SIMULATED energy: the constants are those of no device")
    elif content.grade in ("C", "D"):
        told.append(f"modelled energy (grade {content.grade}), not measured")
    elif content.grade is not None:
        told.append(f"measured energy (grade {content.grade})")
    if content.num_observations is not None:
        told.append(f"fitted to {content.num_observations} windows")
    told += [f"study {content.study}"] if content.study else []
    told += [f"on {content.card}"] if content.card else []
    if not content.told_apart:
        told.append("bytes and FLOPs of those windows do not tell the constants apart: other models may be far off")
    return told
