"""What is counted of a loaded published model: parameters from the module, and from `config.json` with costs of steps.

The two counts know nothing of each other. Where they disagree, costs by formula are unknown: they would be of another
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.core.errors import ConfigError
from harness.core.readings import Finding
from harness.core.records import ParamCount
from harness.flops.published.count import ModelCount, count_model
from harness.flops.published.readers import shape_from_config
from harness.flops.published.shape import ExpertFeedForward, Shape
from harness.flops.published.steps import StepCounter
from harness.flops.published.storage import BYTES_PER_ELEMENT
from harness.flops.traffic import COUNTED_SOURCE, DENSE_SOURCE, EVEN_SOURCE
from harness.infer.huggingface.experts import find_experts
from harness.infer.huggingface.load import LoadedModel

# What a configuration calls the number of experts that a token uses.
_TOP_K_NAMES = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "top_k_experts",
    "top_k",
)
Cost = tuple[float | None, float | None, str | None]


@dataclass(frozen=True, slots=True)
class CountedSteps:
    """Costs of steps by formula, ``None`` where no formula holds; `findings` say why."""

    counter: StepCounter | None
    shape: Shape | None
    params: ParamCount | None
    findings: tuple[Finding, ...]

    def count_prefill(self, batch_size: int, num_prompt_tokens: int) -> Cost:
        """Return FLOPs, bytes and their source of one prefill of a batch."""
        if self.counter is None:
            return None, None, None
        num_bytes = self.counter.prefill_bytes(batch_size, num_prompt_tokens)
        flops = batch_size * self.counter.prefill_flops(num_prompt_tokens)
        return flops, num_bytes, self._source(num_bytes, None)

    def count_decode(
        self, batch_size: int, num_prompt_tokens: int, num_steps: int, distinct_experts: float | None = None
    ) -> Cost:
        """Return FLOPs, bytes and their source of `num_steps` decode steps of a batch.

        `distinct_experts` is how many experts of a layer such a step touches, where that was counted.
        """
        if self.counter is None:
            return None, None, None
        flops = self.counter.decode_flops(num_prompt_tokens, num_steps)
        num_bytes = self.counter.decode_bytes(batch_size, num_prompt_tokens, num_steps, distinct_experts)
        total = None if flops is None else batch_size * flops
        return total, num_bytes, self._source(num_bytes, distinct_experts)

    def _source(self, num_bytes: float | None, distinct_experts: float | None) -> str | None:
        layers = self.shape.layers if self.shape is not None else ()
        if num_bytes is None:
            return None
        if not any(isinstance(layer.feed_forward, ExpertFeedForward) for layer in layers):
            return DENSE_SOURCE
        return EVEN_SOURCE if distinct_experts is None else COUNTED_SOURCE


def count_steps(loaded: LoadedModel) -> CountedSteps:
    """Return what steps of the loaded model cost by its shape, and its parameters by the module itself."""
    params, reason = count_loaded_params(loaded.model)
    unknown = () if params is not None else (_info("params_unknown", f"parameters in use are unknown: {reason}"),)
    try:
        shape = shape_from_config(loaded.folder.config, f"config.json of '{loaded.folder.name}'")
    except ConfigError as error:
        text = f"FLOPs and bytes of its steps are unknown, since no formula here knows the model: {error}"
        return CountedSteps(None, None, params, (*unknown, _info("no_flop_formula", text)))
    published = count_model(shape)
    findings: list[Finding] = []
    if params is None:
        text = f"parameters are those of its config.json, not counted in the loaded model: {reason}"
        findings.append(_info("params_of_config", text))
        params = _params_of(published)
    elif (params.total, params.active) != (published.total_params, published.active_params):
        text = (
            f"the loaded model has {params.total} parameters, {params.active} active, and its config.json says "
            f"{published.total_params}, {published.active_params} active; FLOPs and bytes by formula are left out"
        )
        gap = params.total / published.total_params - 1
        disagree = Finding(code="param_counts_disagree", severity="warning", text=text, value=gap, limit=0.0)
        return CountedSteps(None, None, params, (disagree,))
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    is_quantized = getattr(loaded.model.config, "quantization_config", None) is not None
    if dtype not in BYTES_PER_ELEMENT:
        text = f"FLOPs and bytes of its steps are unknown, since numbers of type {dtype} are not known here"
        return CountedSteps(None, None, params, (*findings, _info("no_flop_formula", text)))
    counter = StepCounter(shape, dtype, quantized=is_quantized)
    if counter.decode_flops_reason is not None:
        findings.append(
            _info("no_decode_flop_formula", f"FLOPs of decode steps are unknown: {counter.decode_flops_reason}")
        )
    return CountedSteps(counter, shape, params, tuple(findings))


def _params_of(published: ModelCount) -> ParamCount:
    return ParamCount(
        total=published.total_params,
        active=published.active_params,
        embedding=published.embedding_params,
        active_non_embedding=published.active_non_embedding_params,
    )


def count_loaded_params(model: Any) -> tuple[ParamCount | None, str | None]:
    """Return the parameters of the loaded module, shared ones counted once; ``None`` with the reason.

    A token uses `top_k` of the experts of a layer, and all other weights.
    """
    if getattr(model.config, "quantization_config", None) is not None:
        return None, "its weights are quantised, and packed numbers are not parameters"
    total = sum(weight.numel() for weight in model.parameters())
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    untied = head is not None and head.weight is not embedding
    idle, reason = 0.0, None
    for module in find_experts(model):
        top_k = _top_k(model.config)
        if top_k is None:
            reason = "the configuration does not say how many experts a token uses"
            break
        own = sum(weight.numel() for weight in module.parameters() if weight.shape[0] == module.num_experts)
        idle += own * (1 - top_k / module.num_experts)
    if reason is None and not find_experts(model) and names_experts(model.config):
        reason = "its experts are not stacked in one module, so that they cannot be told from other weights"
    if reason is not None:
        return None, reason
    active = round(total - idle)
    outside = embedding.numel() + (head.weight.numel() if untied else 0)
    return ParamCount(
        total=total, active=active, embedding=embedding.numel(), active_non_embedding=active - outside
    ), None


def _top_k(config: Any) -> int | None:
    text = config.get_text_config()
    found = (getattr(text, name, None) for name in _TOP_K_NAMES)
    return next((value for value in found if isinstance(value, int) and not isinstance(value, bool)), None)


def names_experts(config: Any) -> bool:
    """Return whether a configuration of `transformers` says that there are experts to choose from."""
    text = config.get_text_config()
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    return any((getattr(text, name, None) or 0) > 1 for name in names)


def _info(code: str, text: str) -> Finding:
    return Finding(code=code, severity="info", text=text)
