"""Quality on held-out text: bits per byte, so that tokenizers compare."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.core.errors import RunFailedError
from harness.core.routing import RoutingStats
from harness.data.batches import iterate_windows
from harness.data.shards import Tokens
from harness.models.transformer import Transformer
from harness.train.load import summarise_routing
from harness.train.micro import release_memory


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Cross-entropy in bits per byte with its standard error over windows, and the load of the routed experts.

    `batch_size` is how many windows went through at once.
    """

    bits_per_byte: float
    stderr: float
    num_windows: int
    num_bytes: int
    num_tokens: int
    batch_size: int
    routing: RoutingStats | None


@torch.no_grad()
def evaluate(
    model: Transformer,
    tokens: Tokens,
    token_num_bytes: np.ndarray,
    *,
    context_length: int,
    batch_size: int,
    max_bytes: int,
    num_bytes_of_tokens: int | None = None,
) -> Evaluation:
    """Return cross-entropy (no auxiliary loss) over non-overlapping windows up to `max_bytes`, in fp32.

    The estimate is total bits over total bytes; its standard error treats windows as the sampling unit (ratio
    estimator), since bytes inside one window are not independent. `batch_size` is halved where it does not fit.
    `num_bytes_of_tokens` are those of all `tokens`, which need not be read to count them then.

    Raises:
        RunFailedError: one window alone does not fit the memory.
    """
    model.eval()
    device = model.embedding.weight.device
    if num_bytes_of_tokens is None:
        num_bytes_of_tokens = int(token_num_bytes[tokens].sum())
    max_tokens = int(max_bytes * len(tokens) / max(1, num_bytes_of_tokens))
    windows = list(iterate_windows(tokens, context_length=context_length, max_tokens=max_tokens))
    bits: list[np.ndarray] = []
    num_bytes: list[np.ndarray] = []
    loads: list[torch.Tensor] = []
    start = 0
    while start < len(windows):
        inputs = np.stack([pair[0] for pair in windows[start : start + batch_size]])
        targets = np.stack([pair[1] for pair in windows[start : start + batch_size]])
        try:
            nats, load_LE = _score(model, torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device))
        except torch.OutOfMemoryError:
            nats = load_LE = None
        if nats is None:
            if batch_size == 1:
                raise RunFailedError("one window of evaluation does not fit the memory; lower train.context_length.")
            batch_size //= 2
            release_memory(device)
            continue
        bits.append(nats.double().sum(1).cpu().numpy() / math.log(2))
        num_bytes.append(token_num_bytes[targets].sum(1).astype(np.float64))
        if load_LE is not None:
            loads.append(load_LE.cpu())
        start += len(inputs)
    bits_W, bytes_W = np.concatenate(bits), np.concatenate(num_bytes)
    bits_per_byte = float(bits_W.sum() / bytes_W.sum())
    residual = bits_W - bits_per_byte * bytes_W
    count = len(bits_W)
    stderr = float(np.sqrt((residual**2).sum() / max(1, count - 1) * count) / bytes_W.sum())
    return Evaluation(
        bits_per_byte=bits_per_byte,
        stderr=stderr,
        num_windows=count,
        num_bytes=int(bytes_W.sum()),
        num_tokens=count * context_length,
        batch_size=batch_size,
        routing=summarise_routing(torch.stack(loads).sum(0), count * context_length) if loads else None,
    )


def _score(model: Transformer, inputs_BT: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return nats of each token, (B, T), and tokens per expert layer and expert, (L, E)."""
    output = model(inputs_BT)
    nats = F.cross_entropy(output.logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="none")
    return nats.view(targets_BT.shape), torch.stack(output.loads) if output.loads else None
