"""One decode step recorded as a CUDA graph: a replay launches every kernel of the step at once.

Shape suffixes: B batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.infer.kv_cache import KVCache
from harness.models.transformer import Transformer

_WARMUP_STEPS = 3


class RecordedStep:
    """Records a step over caches of fixed shape; any position may be replayed.

    The warm-up and the recording write into the position after the prompt, which the first real step overwrites.
    """

    def __init__(self, model: Transformer, caches: Sequence[KVCache], batch_size: int, position: int) -> None:
        device = model.embedding.weight.device
        self._token_B1 = torch.zeros(batch_size, 1, dtype=torch.int64, device=device)
        self._position = torch.tensor([position], device=device)
        self._caches = caches
        for cache in caches:
            cache.position = self._position
        try:
            beside = torch.cuda.Stream(device)
            beside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(beside):
                for _ in range(_WARMUP_STEPS):
                    model(self._token_B1, caches, self._position)
            torch.cuda.current_stream(device).wait_stream(beside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._logits_BV = model(self._token_B1, caches, self._position).logits_BTV[:, -1]
        finally:
            for cache in caches:
                cache.position = None

    def run(self, token_B1: Tensor, position: int) -> Tensor:
        """Return the logits (B, V) after `token_B1` at `position`; the next call overwrites them."""
        self._token_B1.copy_(token_B1)
        self._position.fill_(position)
        self._graph.replay()
        return self._logits_BV
