"""One decode step through ``torch.compile``: on a CPU what a recorded graph is on a GPU, one call for many operators.

Compiling takes ten seconds or so and a C++ compiler; the first step of a shape waits for it.

Shape suffixes: B batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.core.errors import ConfigError
from harness.infer.kv_cache import KVCache
from harness.models.transformer import Transformer


def _step(model: Transformer, caches: Sequence[KVCache], token_B1: Tensor, position: Tensor) -> Tensor:
    return model(token_B1, caches, position).logits_BTV[:, -1]


_compiled = torch.compile(_step, dynamic=False, fullgraph=True)


class CompiledStep:
    """Steps over caches of fixed shape; any position may be run. Models and caches of one shape share the code."""

    def __init__(self, model: Transformer, caches: Sequence[KVCache], position: int) -> None:
        self._model, self._caches = model, caches
        self._position = torch.tensor([position], device=model.embedding.weight.device)

    def run(self, token_B1: Tensor, position: int) -> Tensor:
        """Return the logits (B, V) after `token_B1` at `position`.

        Raises:
            ConfigError: there is no working compiler.
        """
        self._position.fill_(position)
        for cache in self._caches:
            cache.position = self._position
        try:
            logits_BV: Tensor = _compiled(self._model, self._caches, token_B1, self._position)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(f"decoding cannot be compiled here ({reason}); decode with compiled=False.") from error
        finally:
            for cache in self._caches:
                cache.position = None
        return logits_BV
