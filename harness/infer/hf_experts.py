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
    """Keeps choices while `watch_choices` is on: one (L, R, K) tensor for each pass through the model.

    `keep_R` says which rows of the pass to come are tokens; ``None``: all. Padding is routed too, and is not kept.
    """

    num_layers: int
    num_experts: int
    keep_R: Tensor | None = None
    passes: list[Tensor] = field(default_factory=list)
    _pass: list[Tensor] = field(default_factory=list)

    @property
    def num_tokens(self) -> int:
        """Return the tokens of all passes."""
        return sum(chosen_LRK.shape[1] for chosen_LRK in self.passes)

    def count_load(self) -> Tensor:
        """Return (L, E), how often each expert was chosen in all passes."""
        chosen_LN = torch.cat([chosen_LRK.flatten(1) for chosen_LRK in self.passes], dim=1)
        return torch.stack([torch.bincount(row_N, minlength=self.num_experts) for row_N in chosen_LN])

    def add(self, chosen_RK: Tensor) -> None:
        """Keep one layer's choices; after the last layer the pass is complete."""
        self._pass.append((chosen_RK if self.keep_R is None else chosen_RK[self.keep_R]).cpu())
        if len(self._pass) == self.num_layers:
            self.passes.append(torch.stack(self._pass))
            self._pass = []


@contextlib.contextmanager
def watch_choices(model: nn.Module) -> Iterator[ChoiceCounter]:
    """Keep whom the routers of `model` choose, in every pass inside the block; without experts nothing is kept.

    Nothing is kept either where the experts are not called with indices.
    """
    modules = find_experts(model)
    counter = ChoiceCounter(len(modules), max((int(module.num_experts) for module in modules), default=0))

    def see(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given = [*arguments, *named.values()]
        chosen = next((x for x in given if isinstance(x, Tensor) and x.dim() == 2 and not x.is_floating_point()), None)
        if chosen is not None:
            counter.add(chosen)

    handles = [module.register_forward_pre_hook(see, with_kwargs=True) for module in modules]
    try:
        yield counter
    finally:
        for handle in handles:
            handle.remove()
