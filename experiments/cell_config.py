"""The configuration of a cell, composed once: each of its runs is a copy with its own values set in it.

Hydra takes half a second for a composition, a study of hundreds of runs minutes. The runs of one cell differ in plain
values alone (seed, role, budget, ...), which Hydra would set last, in the same way.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from harness.experiments.study_job import Compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict


class CellComposer:
    """Composes what several runs share once, and sets each run's own values in a copy of it."""

    def __init__(self, compose: Compose) -> None:
        self._compose = compose
        self._held: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, shared: Sequence[str], own: Sequence[str] = ()) -> DictConfig:
        """Return what composing `shared` and then `own` gives, without Hydra's own node.

        `own` are values (``key=value``) of keys that are there, not members of config groups.
        """
        key = tuple(shared)
        if key not in self._held:
            composed = self._compose(shared)
            with open_dict(composed):
                composed.pop("hydra", None)
            self._held[key] = composed
        found = copy.deepcopy(self._held[key])
        for override in OverridesParser.create().parse_overrides(list(own)):
            OmegaConf.update(found, override.key_or_group, override.value(), merge=True)
        return found
