"""Bytes of the weights: from the data type, or from what is known of a quantised checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import ConfigError, did_you_mean
from harness.flops.published.shape import Quantization, Shape
from harness.flops.published.tensors import Tensor, list_tensors

DEFAULT_DTYPE = "bfloat16"
BYTES_PER_ELEMENT = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int8": 1,
}
_SHORT_NAMES = {
    "fp64": "float64",
    "fp32": "float32",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "fp8": "float8_e4m3fn",
    "float8": "float8_e4m3fn",
}
_MX_BLOCK = 32  # OCP Microscaling: 32 four-bit numbers share a scale of one byte
_FP8_ROLES = ("attention", "feed_forward", "expert")
_SCALE_BYTES = 4


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """Bytes of the main model's weights, or ``None``; `assumption` says how they were counted or why they were not."""

    num_bytes: int | None
    assumption: str


def resolve_dtype(name: str) -> str:
    """Return the full name of a data type.

    Raises:
        ConfigError: nobody knows it; the message lists those that are known.
    """
    full = _SHORT_NAMES.get(name, name.removeprefix("torch."))
    if full not in BYTES_PER_ELEMENT:
        known = [*BYTES_PER_ELEMENT, *_SHORT_NAMES]
        raise ConfigError(f"unknown dtype '{name}'; known: {', '.join(known)}.{did_you_mean(name, known)}")
    return full


def count_weight_bytes(shape: Shape, dtype: str, *, ignore_quantization: bool) -> StoredWeights:
    """Return the bytes of the weights as the checkpoint stores them, or all in `dtype`."""
    quantization = None if ignore_quantization else shape.quantization
    return count_tensor_bytes(list(list_tensors(shape)), quantization, dtype)


def count_tensor_bytes(tensors: Sequence[Tensor], quantization: Quantization | None, dtype: str) -> StoredWeights:
    """Return the bytes of some of a model's weights, quantised or all in `dtype`."""
    width = BYTES_PER_ELEMENT[dtype]
    if quantization is None:
        return StoredWeights(width * sum(t.num_params for t in tensors), f"every weight in {dtype}")
    if quantization.method == "mxfp4":
        num_bytes = sum(_mxfp4_bytes(t) if t.role == "expert" else width * t.num_params for t in tensors)
        return StoredWeights(
            num_bytes, f"mxfp4: experts' matrices 4.25 bits (scale of 1 byte for {_MX_BLOCK}), the rest {dtype}"
        )
    if quantization.method == "fp8":
        return StoredWeights(_fp8_bytes(tensors, quantization, width), _fp8_text(quantization, dtype))
    return StoredWeights(None, f"quantised by '{quantization.method}', whose storage is not known here")


def _mxfp4_bytes(tensor: Tensor) -> int:
    scales = tensor.copies * tensor.rows * math.ceil(tensor.columns / _MX_BLOCK)
    return math.ceil(tensor.num_params / 2) + scales


def _fp8_bytes(tensors: Iterable[Tensor], quantization: Quantization, width: int) -> int:
    total = 0
    for tensor in tensors:
        if tensor.role not in _FP8_ROLES:
            total += width * tensor.num_params
            continue
        rows, columns = quantization.block or (tensor.rows, tensor.columns)
        num_scales = tensor.copies * math.ceil(tensor.rows / rows) * math.ceil(tensor.columns / columns)
        total += tensor.num_params + _SCALE_BYTES * num_scales
    return total


def _fp8_text(quantization: Quantization, dtype: str) -> str:
    shared = "a matrix" if quantization.block is None else f"{quantization.block[0]} x {quantization.block[1]}"
    return f"fp8: layers' matrices 1 byte and a 4-byte scale for {shared}; embeddings, head, router and norms {dtype}"
