"""Claim files: read once, told apart by ``kind``, and checked so that a mistake is one clear line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.analysis.verdicts import ClaimSpec
from harness.core.errors import ConfigError, did_you_mean
from harness.core.plain_yaml import PlainYamlError, parse_yaml

CLAIM_PACKAGE = "harness.conf"
CLAIM_FOLDER = "claim"
PUBLISHED_KIND = "published"
# What the program exists to test: judged where no study says which claims it promised to look at.
PRESS_CLAIMS = ("training_compute_tenth", "energy_per_task_90")
# The same where nothing was trained: models are equal by their answers.
INFERENCE_CLAIMS = ("energy_per_task_90_equal_accuracy", "energy_per_correct_90")
# What a metric is made of decides what a verdict needs: FLOPs and tokens are counted and seconds and bytes measured on
# any machine; joules need hardware readings.
METRIC_KINDS = {
    "training_flops": "counted",
    "training_tokens": "counted",
    "flops_per_task": "counted",
    "training_seconds": "measured",
    "seconds_per_task": "measured",
    "peak_memory": "measured",
    "training_energy": "energy",
    "training_net_energy": "energy",
    "energy_per_task": "energy",
    "net_energy_per_task": "energy",
    "energy_per_correct": "energy",
    "energy_per_token": "energy",
    "energy_per_byte": "energy",
}
_MIN_SEEDS = 2
_Fields = TypeVar("_Fields")


def load_claims(ids: Sequence[str] | None = None, folder: Traversable | None = None) -> list[ClaimSpec]:
    """Return the testable claims named by `ids` in that order, or all of them by id; `folder` replaces the shipped one.

    Raises:
        ConfigError: an id is not known, or a claim file does not say what a claim needs.
    """
    known: dict[str, ClaimSpec] = {}
    adapter = TypeAdapter(ClaimSpec)
    for name, values in read_claim_files(folder):
        if values.get("kind") != PUBLISHED_KIND:
            claim = validate_fields(adapter, name, values)
            _validate_claim(name, claim)
            known[claim.id] = claim
    for wanted in ids or ():
        if wanted not in known:
            raise ConfigError(
                f"claim '{wanted}' is not known; there are: {', '.join(sorted(known))}.{did_you_mean(wanted, known)}"
            )
    return [known[name] for name in (sorted(known) if ids is None else ids)]


def read_claim_files(folder: Traversable | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield name and content of every claim file in the order of names; each is a mapping with an ``id`` of its own.

    Raises:
        ConfigError: a file is not YAML, holds no mapping, or repeats an id.
    """
    if folder is None:
        folder = resources.files(CLAIM_PACKAGE) / CLAIM_FOLDER
    seen: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".yaml"):
            continue
        try:
            values = parse_yaml(file.read_text(encoding="utf-8"))
        except (PlainYamlError, UnicodeDecodeError) as error:
            raise ConfigError(f"claim file {file.name} is not YAML: {error}") from error
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"claim file {file.name}: it holds no 'key: value' lines; give at least id and statement."
            )
        claim_id = str(values.get("id"))
        if claim_id in seen:
            raise ConfigError(
                f"claim file {file.name}: the id '{claim_id}' is taken by {seen[claim_id]}; give another."
            )
        seen[claim_id] = file.name
        yield file.name, values


def validate_fields(adapter: TypeAdapter[_Fields], name: str, values: Mapping[str, Any]) -> _Fields:
    """Return what the fields of one claim file describe.

    Raises:
        ConfigError: a field is missing, unknown or of the wrong kind; the line names the file and the field.
    """
    try:
        return adapter.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        unknown = first["type"] in ("unexpected_keyword_argument", "extra_forbidden")
        message = "this key is not known" if unknown else first["msg"]
        raise ConfigError(f"claim file {name}: {where}: {message}") from error


def _validate_claim(name: str, claim: ClaimSpec) -> None:
    wrong = None
    if not (claim.factor > 0 and math.isfinite(claim.factor)):
        wrong = f"factor is {claim.factor:g}; it must be above 0."
    elif not 0 <= claim.tolerance < 1:
        wrong = f"tolerance is {claim.tolerance:g}; it is relative, from 0 to below 1."
    elif claim.min_n < _MIN_SEEDS:
        wrong = f"min_n is {claim.min_n}; an interval needs at least {_MIN_SEEDS} seeds."
    elif claim.kind != METRIC_KINDS[claim.metric]:
        wrong = f"kind is {claim.kind}, but {claim.metric} is {METRIC_KINDS[claim.metric]}; write that."
    if wrong is not None:
        raise ConfigError(f"claim file {name}: {wrong}")
