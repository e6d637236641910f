"""From logits to the next token: greedy, or sampled at a temperature from the likeliest ones.

Shape suffixes: B batch, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class Sampler:
    """Chooses tokens; `temperature` 0 is greedy, `top_k` 0 and `top_p` 1 keep the whole vocabulary.

    Each sampler draws from a generator of its own, so that the same seed gives the same tokens.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    _generators: dict[torch.device, torch.Generator] = field(default_factory=dict, repr=False)

    def choose(self, logits_BV: Tensor) -> Tensor:
        """Return one token for each sequence, (B,)."""
        if self.temperature <= 0:
            return logits_BV.argmax(dim=-1)
        scaled_BV = logits_BV.float() / self.temperature
        if 0 < self.top_k < scaled_BV.shape[-1]:
            lowest_B1 = scaled_BV.topk(self.top_k, dim=-1).values[:, -1:]
            scaled_BV = scaled_BV.masked_fill(scaled_BV < lowest_B1, float("-inf"))
        if self.top_p < 1.0:
            sorted_BV, order_BV = scaled_BV.sort(dim=-1, descending=True)
            shares_BV = sorted_BV.softmax(dim=-1)
            beyond_BV = shares_BV.cumsum(dim=-1) - shares_BV >= self.top_p  # the likeliest is always kept
            beyond_BV = torch.zeros_like(beyond_BV).scatter(1, order_BV, beyond_BV)
            scaled_BV = scaled_BV.masked_fill(beyond_BV, float("-inf"))
        return torch.multinomial(scaled_BV.softmax(dim=-1), 1, generator=self._generator(logits_BV.device))[:, 0]

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]
