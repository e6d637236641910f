"""What a study promises, checked before its first run: a rule that can be followed, margins, and claims that exist."""

from __future__ import annotations

import dataclasses
import math

from harness.experiments.schema import MatchConfig, SweepConfig
from pydantic import TypeAdapter, ValidationError

from harness.analysis.claims import load_claims
from harness.core.errors import ConfigError
from harness.core.study import MatchRule

_ADAPTER: TypeAdapter[MatchRule] = TypeAdapter(MatchRule)


def check_promise(sweep: SweepConfig) -> None:
    """Check the rule of matching and the claims of a study.

    Raises:
        ConfigError: a value that the analysis could not follow, or a claim that is not known.
    """
    build_rule(sweep.match)
    load_claims(sweep.claims)


def build_rule(config: MatchConfig) -> MatchRule:
    """Return the rule that `config` describes.

    Raises:
        ConfigError: a word that is not known, a fixed rule without a loss, a loss that is not above zero, or
            a margin that is not above zero (of accuracy: and below one).
    """
    values = dataclasses.asdict(config)
    try:
        rule = _ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"sweep.match.{key} is '{values.get(key)}': {first['msg']}.") from error
    if rule.rule == "fixed" and rule.loss is None:
        raise ConfigError("sweep.match.rule is 'fixed' and gives no loss; add sweep.match.loss=BITS_PER_BYTE.")
    if rule.loss is not None and rule.loss <= 0:
        raise ConfigError(f"sweep.match.loss is {rule.loss:g}; bits per byte are above 0.")
    if rule.num_losses < 1:
        raise ConfigError(f"sweep.match.num_losses is {rule.num_losses}; give 1 or more.")
    for name in ("margin_bits_per_byte", "margin_accuracy"):
        margin = getattr(rule, name)
        if margin is not None and not (margin > 0 and math.isfinite(margin)):
            raise ConfigError(f"sweep.match.{name} is {margin:g}; a margin is above 0.")
    if rule.margin_accuracy is not None and rule.margin_accuracy >= 1:
        raise ConfigError(f"sweep.match.margin_accuracy is {rule.margin_accuracy:g}; it is a share, below 1.")
    return rule
