"""Prepares a model for decoding on a CPU: finds the fastest form of its products and makes the copies that it takes."""

from __future__ import annotations

from collections import defaultdict

import psutil
import torch
from torch.utils._python_dispatch import _disable_current_modes

from harness.models.experts import RoutedExperts
from harness.models.few_rows import Form, Forms, find_fastest
from harness.models.linear import Linear
from harness.models.packed import can_pack, is_large
from harness.models.transformer import Transformer

# Share of the free memory that copies may take.
LARGEST_SHARE = 0.5

# What was found for weights of some shapes, strides, precision and number of threads.
_found: dict[object, Forms] = {}


def prepare_for_decoding(model: Transformer, num_tokens: int) -> None:
    """Prepare the weights for steps of `num_tokens`, one of each sequence; what is ready stays as it is.

    Does nothing on a GPU or where memory is short. The first call for weights of some shapes times products, a second
    or so for large ones. Whoever counts the operators of a prompt (FLOPs, say) does not count those of this.
    """
    if model.embedding.weight.is_cuda or torch.is_grad_enabled():
        return
    if not model.has_copies:
        num_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        if num_bytes > LARGEST_SHARE * psutil.virtual_memory().available:
            return
    alike = defaultdict(list)
    for part in model.modules():
        if isinstance(part, Linear | RoutedExperts | Transformer) and (weights := part.decode_weights()):
            alike[isinstance(part, RoutedExperts), is_large(weights[0])].append((part, weights))
    for (routed, _), parts in alike.items():
        every = [weight for _, weights in parts for weight in weights]
        forms = _find(every, _candidates(every, routed=routed))
        for part, _ in parts:
            with _disable_current_modes():
                part.prepare(forms, num_tokens)
            model.has_copies |= part.copied is not None


def _candidates(weights: list[torch.Tensor], *, routed: bool) -> tuple[Form, ...]:
    """Return the forms to choose from; of those that take a copy one, so that batches share it whatever their size."""
    if all(can_pack(weight) for weight in weights):
        return (Form.PLAIN, Form.HALVES, Form.PACKED)
    # experts lie the other way round as they are
    return (Form.PLAIN, Form.HALVES) if routed else (Form.PLAIN, Form.HALVES, Form.TRANSPOSED)


def _find(weights: list[torch.Tensor], candidates: tuple[Form, ...]) -> Forms:
    kind = (torch.get_num_threads(), *((weight.shape, weight.stride(), weight.dtype) for weight in weights))
    if kind not in _found:
        with _disable_current_modes():
            _found[kind] = find_fastest(weights, candidates)
    return _found[kind]
