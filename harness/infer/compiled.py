"""One decode step through ``torch.compile``: on a CPU what a recorded graph is on a GPU, one call for many operators.

Compiling takes ten seconds or so and a C++ compiler; the first step of a shape waits for it.

Shape suffixes: B batch, V vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from harness.core.errors import ConfigError
from harness.infer.kv_cache import KVCache
from harness.models.transformer import Transformer

BACKEND = "inductor"

Step = Callable[[Transformer, Sequence[KVCache], Tensor, Tensor], Tensor]


class CompiledStep:
    """Steps over caches of fixed shape; any position may be run. Models and caches of one shape share the code."""

    def __init__(self, model: Transformer, caches: Sequence[KVCache], position: int) -> None:
        self._model, self._caches = model, caches
        self._position = torch.tensor([position], device=model.embedding.weight.device)
        shapes = tuple(buffer.shape for buffer in caches[0].buffers)
        self._step = _compile(repr((model.config, shapes, model.embedding.weight.dtype)), BACKEND)

    def run(self, token_B1: Tensor, position: int) -> Tensor:
        """Return the logits (B, V) after `token_B1` at `position`.

        Raises:
            ConfigError: there is no working compiler.
        """
        self._position.fill_(position)
        for cache in self._caches:
            cache.position = self._position
        try:
            return self._step(self._model, self._caches, token_B1, self._position)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(f"decoding cannot be compiled here ({reason}); decode with compiled=False.") from error
        finally:
            for cache in self._caches:
                cache.position = None


@functools.cache
def _compile(kind: str, backend: str) -> Step:
    """Return a step compiled for one `kind` of model and caches.

    The compiler keeps a handful of variants of one piece of code and fails beyond; so each kind has a copy of its own.
    """
    del kind

    def step(model: Transformer, caches: Sequence[KVCache], token_B1: Tensor, position: Tensor) -> Tensor:
        return model(token_B1, caches, position).logits_BTV[:, -1]

    step.__code__ = step.__code__.replace()
    return torch.compile(step, dynamic=False, fullgraph=True, backend=backend)
