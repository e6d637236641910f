"""What training minimises."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from harness.core.model_config import ModelConfig
from harness.models.transformer import Output


def training_loss(output: Output, targets_BT: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Return the language-model loss (nats per token), and what is trained: auxiliary and extra losses added."""
    loss = cross_entropy(output.logits_BTV, targets_BT)
    total = loss
    if output.auxiliary_loss is not None:
        total = total + output.auxiliary_loss
    for depth, logits in enumerate(output.mtp_logits, start=1):
        weight = config.mtp_weight / len(output.mtp_logits)
        total = total + weight * cross_entropy(logits, targets_BT[:, depth:])
    return loss, total


def cross_entropy(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats per token, in fp32."""
    return F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())
