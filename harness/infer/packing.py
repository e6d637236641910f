"""Packs a model's weights for decoding on a CPU, where there is memory for a second copy."""

from __future__ import annotations

import psutil
import torch

from harness.models.experts import RoutedExperts
from harness.models.linear import Linear
from harness.models.packed import SMALL_WEIGHT
from harness.models.transformer import Transformer

# Share of the free memory that packed copies may take.
LARGEST_SHARE = 0.5


def pack_for_decoding(model: Transformer) -> None:
    """Pack the weights that gain by it; those that did not change since the last call stay as they are.

    Does nothing on a GPU, for models whose weights fit the cache, or where memory is short.
    """
    if model.embedding.weight.is_cuda or torch.is_grad_enabled() or model.largest_weight < SMALL_WEIGHT:
        return
    if not model.is_packed:
        num_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        if num_bytes > LARGEST_SHARE * psutil.virtual_memory().available:
            return
    for module in model.modules():
        if isinstance(module, Linear | RoutedExperts | Transformer):
            module.pack()
    model.is_packed = True
