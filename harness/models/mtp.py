"""Multi-token prediction of DeepSeek-V3 (arXiv 2412.19437, section 2.2): a module per extra token, used in training.

Module k joins the stream at position i with the embedding of token i + k, passes one block and predicts token i + k + 1
through the model's own output head. Inference leaves the modules out. With `mtp_normed` the stream has passed the norm
before the head of its depth: so do the engines that serve the published weights.

Shape suffixes: B batch, T time, D model width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.core.model_config import ModelConfig, is_sparse
from harness.models.block import Block
from harness.models.layers import RMSNorm
from harness.models.router import Routing


class TokenPredictor(nn.Module):
    """One module: normalise stream and embedding, join them by a linear map, and pass a block like the last one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stream_norm = RMSNorm(config.d_model, config.norm_eps)
        self.embedding_norm = RMSNorm(config.d_model, config.norm_eps)
        self.join = nn.Linear(2 * config.d_model, config.d_model, bias=False)
        self.block = Block(config, sparse=is_sparse(config, config.num_layers - 1))
        self.norm = RMSNorm(config.d_model, config.norm_eps)

    def forward(self, stream_BTD: Tensor, embedded_BTD: Tensor, rope: Tensor) -> tuple[Tensor, Routing | None]:
        """Return the stream of the next depth, (B, T - 1, D), and its routing.

        `stream_BTD` is that of the depth before and `embedded_BTD` the embeddings at the same positions; position i of
        the result has seen the token after it.
        """
        joined = torch.cat((self.stream_norm(stream_BTD[:, :-1]), self.embedding_norm(embedded_BTD[:, 1:])), dim=-1)
        return self.block(self.join(joined), rope[:, : joined.shape[1]], None)
