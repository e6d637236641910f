"""One readable pre-norm decoder for all families: dense or sparse, any attention, with or without extra predictions.

Shape suffixes: B batch, T time, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.core.model_config import ModelConfig, MoEConfig, is_sparse
from harness.models.attention import LayerCache
from harness.models.block import Block, ExpertFeedForward
from harness.models.few_rows import Forms
from harness.models.layers import RMSNorm
from harness.models.linear import Linear, linear, renew
from harness.models.mtp import TokenPredictor
from harness.models.packed import WeightCopy
from harness.models.rope import rope_table
from harness.models.router import Router, Routing


@dataclass(frozen=True, slots=True)
class Output:
    """What a forward pass gives.

    `logits_BTV`; the routing of each expert layer, extra predictions last; and, in training, the logits of each
    multi-token-prediction depth k, (B, T - k, V), whose position i predicts token i + k + 1.
    """

    logits_BTV: Tensor
    routings: tuple[Routing, ...] = ()
    mtp_logits: tuple[Tensor, ...] = ()

    @property
    def loads(self) -> tuple[Tensor, ...]:
        """Return tokens per expert of each expert layer, (E,) each."""
        return tuple(routing.load_E for routing in self.routings)

    @property
    def auxiliary_loss(self) -> Tensor | None:
        """Return the weighted losses that keep the load even, summed over layers; ``None`` for a dense model."""
        return torch.stack([r.auxiliary_loss for r in self.routings]).sum() if self.routings else None


class Transformer(nn.Module):
    """A decoder language model; `config.vocab_size` must be set."""

    copied: WeightCopy | None = None
    forms: Forms | None = None
    has_copies = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(
            Block(config, sparse=is_sparse(config, layer)) for layer in range(config.num_layers)
        )
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.head = None if config.tie_embeddings else Linear(config.d_model, config.vocab_size, bias=False)
        self.predictors = nn.ModuleList(TokenPredictor(config) for _ in range(config.mtp_depth))
        self._rope: Tensor | None = None

    def forward(
        self,
        tokens_BT: Tensor,
        caches: Sequence[LayerCache] | None = None,
        position: int | Tensor = 0,
        *,
        last_only: bool = False,
    ) -> Output:
        """Predict the next token at each of T positions that start at `position`; `last_only` keeps the last logits.

        A position on the device, (1,), lets one recorded graph decode any position of a cache of fixed shape.
        """
        if self.has_copies and torch.is_grad_enabled():
            self.forget_copies()  # a fused optimiser writes without a trace: what is to be trained has no copies
        rope = self.rope_at(position, tokens_BT.shape[1], tokens_BT.device)
        embedded_BTD = x_BTD = self.embedding(tokens_BT)
        routings: list[Routing] = []
        for layer, block in enumerate(self.blocks):
            x_BTD, routing = block(x_BTD, rope, caches[layer] if caches is not None else None)
            if routing is not None:
                routings.append(routing)
        mtp_logits: list[Tensor] = []
        if self.training:
            stream_BTD = self.norm(x_BTD) if self.predictors and self.config.mtp_normed else x_BTD
            for predictor in self.predictors:
                stream_BTD, routing = predictor(stream_BTD, embedded_BTD, rope)
                embedded_BTD = embedded_BTD[:, 1:]
                normed_BTD = predictor.norm(stream_BTD)
                mtp_logits.append(self._project(normed_BTD))
                stream_BTD = normed_BTD if self.config.mtp_normed else stream_BTD
                if routing is not None:
                    routings.append(routing)
        logits_BTV = self._project(self.norm(x_BTD[:, -1:] if last_only else x_BTD))
        return Output(logits_BTV, tuple(routings), tuple(mtp_logits))

    def routers(self) -> list[Router]:
        """Return the routers in the order of `Output.routings` of a training pass."""
        blocks = [*self.blocks, *(predictor.block for predictor in self.predictors)]
        return [block.feed_forward.router for block in blocks if isinstance(block.feed_forward, ExpertFeedForward)]

    def update_router_bias(self, loads: Sequence[Tensor]) -> None:
        """Move the routers' biases after an optimiser step; does nothing for a dense model."""
        if isinstance(self.config, MoEConfig):
            for router, load in zip(self.routers(), loads, strict=True):
                router.update_bias(load, self.config.bias_update_rate)

    def rope_at(self, position: int | Tensor, time: int, device: torch.device) -> Tensor:
        """Return the rotary angles of `time` positions from `position` on, (2, T, d_rope / 2)."""
        if isinstance(position, Tensor):
            assert self._rope is not None  # noqa: S101 - a prompt went before
            return self._rope.index_select(1, position)
        end = position + time
        if self._rope is None or self._rope.shape[1] < end or self._rope.device != device:
            length = max(256, 1 << (end - 1).bit_length())
            with torch.inference_mode(False):  # the table outlives this call and may serve a training step later
                self._rope = rope_table(self.config, length, device)
        return self._rope[:, position:end]

    def decode_weights(self) -> list[Tensor]:
        """Return the embedding, (V, D), where it is also the head."""
        return [self.embedding.weight] if self.head is None else []

    def prepare(self, forms: Forms, num_tokens: int) -> None:
        """Take `forms` for a head that is the embedding, and copy it if they say so for steps of `num_tokens`."""
        self.forms = forms
        self.copied = renew(self.copied, self.embedding.weight, forms.at(num_tokens))

    def forget_copies(self) -> None:
        """Forget every copy of a weight."""
        for module in self.modules():
            if hasattr(module, "copied"):
                module.copied = None
        self.has_copies = False

    def _project(self, x_BTD: Tensor) -> Tensor:
        if self.head is None:
            return linear(x_BTD, self.embedding.weight, copied=self.copied, forms=self.forms)
        out: Tensor = self.head(x_BTD)
        return out
