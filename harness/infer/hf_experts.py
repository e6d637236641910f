"""The routed experts of a loaded published model: found by their shape, and whom the routers choose, counted.

Since version 5 `transformers` keeps the experts of a layer in one module that is called with the indices of the chosen
ones; a hook on it sees each choice of any router. Models whose experts are called otherwise cannot be watched.

Shape suffixes: L expert layers, E experts, R rows (tokens), K choices of a token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


def find_experts(model: nn.Module) -> list[nn.Module]:
    """Return the modules that hold the experts of a layer as matrices stacked by expert, in the order of the layers."""
    return [module for module in model.modules() if _holds_experts(module)]


def _holds_experts(module: nn.Module) -> bool:
    number = getattr(module, "num_experts", None)
    if not isinstance(number, int):
        return False
    return any(weight.dim() == 3 and weight.shape[0] == number for weight in module.parameters(recurse=False))


@dataclass(slots=True)
class ChoiceCounter:
    """Counts choices while `watch` is on. `counts` holds one (L, E) tensor for each pass through the model.

    `keep_R` says which rows of the pass to come are tokens; ``None``: all. Padding is routed too, and is not counted.
    """

    num_layers: int
    keep_R: Tensor | None = None
    counts: list[Tensor] = field(default_factory=list)
    num_tokens: int = 0
    top_k: int | None = None
    _pass: list[Tensor] = field(default_factory=list)

    def add(self, chosen_RK: Tensor, num_experts: int) -> None:
        """Count one layer's choices; after the last layer the pass is complete."""
        kept = chosen_RK if self.keep_R is None else chosen_RK[self.keep_R]
        self._pass.append(torch.bincount(kept.reshape(-1), minlength=num_experts)[:num_experts].cpu())
        if len(self._pass) == self.num_layers:
            self.counts.append(torch.stack(self._pass))
            self.num_tokens += kept.shape[0]
            self.top_k = kept.shape[1]
            self._pass = []


@contextlib.contextmanager
def watch_choices(model: nn.Module) -> Iterator[ChoiceCounter]:
    """Count whom the routers of `model` choose, in every pass inside the block; without experts nothing is counted.

    What was counted stays empty where the experts are not called with indices.
    """
    modules = find_experts(model)
    counter = ChoiceCounter(len(modules))

    def see(module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given = [*arguments, *named.values()]
        chosen = next((x for x in given if isinstance(x, Tensor) and x.dim() == 2 and not x.is_floating_point()), None)
        if chosen is not None:
            counter.add(chosen, module.num_experts)

    handles = [module.register_forward_pre_hook(see, with_kwargs=True) for module in modules]
    try:
        yield counter
    finally:
        for handle in handles:
            handle.remove()
