"""What comes before training: the model, a traced pass that checks the FLOP formulas, and a warm-up that is kept."""

from __future__ import annotations

import dataclasses

import torch

from harness.core.config import RunConfig
from harness.core.model_config import MoEConfig
from harness.core.records import FlopCount, WindowRecord, Work
from harness.data import Dataset
from harness.data.batches import sample_batch
from harness.flops import formulas
from harness.flops.executed import ExpertRows, count_executed_train_flops_per_token
from harness.flops.traced import trace_flops
from harness.measure import Meter
from harness.models import build_model
from harness.models.transformer import Transformer
from harness.run.device import autocast_dtype, peak_memory_bytes, synchroniser
from harness.run.pretrain import Pretraining
from harness.run.rank_energy import RankMeter
from harness.train.micro import Forward, MicroBatch, StepSums, accumulate
from harness.train.schedule import tokens_per_step
from harness.train.spread import Spread

_SETTLING_PASSES = 2


def build(config: RunConfig, data: Dataset, device: torch.device) -> Transformer:
    """Return the model of a run on its device; a vocabulary that is not set is the tokenizer's."""
    model_config = config.model
    if model_config.vocab_size == 0:
        model_config = dataclasses.replace(model_config, vocab_size=data.info.vocab_size)
    return build_model(model_config, config.seed).to(device)


def check_flops(  # noqa: PLR0917 - the runner calls it, once
    config: RunConfig,
    model: Transformer,
    data: Dataset,
    device: torch.device,
    micro: MicroBatch,
    spread: Spread | None = None,
) -> FlopCount:
    """Count a training step by formula, trace one, and return both; for experts the step's own rows are counted.

    Each of several ranks traces its share of the step; the traced count is the sum.
    """
    spread = spread or Spread()
    forward = spread.entry(model)
    context = config.train.context_length
    num_tokens = tokens_per_step(config.train)
    traced, size, sums = 0, 0, []
    while size != micro.size:  # a pass that ran out of memory was traced as far as it came
        size = micro.size
        traced = trace_flops(lambda: sums.append(training_pass(config, model, data, device, forward, micro, spread)))
    traced = sum(spread.ranks.gather(traced))
    nominal = formulas.count_train_flops_per_token(model.config, context)
    executed = nominal
    if isinstance(model.config, MoEConfig):
        rows = ExpertRows(*sums[-1].rows.tolist())
        executed = count_executed_train_flops_per_token(model.config, context, rows, num_tokens)
    expected = executed * num_tokens
    return FlopCount(
        forward_per_token=formulas.count_forward_flops_per_token(model.config, context),
        train_per_token=nominal,
        formula_version=formulas.FORMULA_VERSION,
        convention=formulas.CONVENTION,
        formula_total=expected,
        traced_total=traced,
        relative_gap=(traced - expected) / expected,
    )


def add_executed(flops: FlopCount, config: RunConfig, model: Transformer, training: Pretraining) -> FlopCount:
    """Return the count with what the experts really multiplied over the whole path; a dense model has none."""
    rows = training.state.expert_rows
    if not isinstance(model.config, MoEConfig) or rows is None:
        return flops
    counted = ExpertRows(*rows.tolist())
    num_tokens = training.state.step * tokens_per_step(config.train)
    per_token = count_executed_train_flops_per_token(model.config, config.train.context_length, counted, num_tokens)
    return dataclasses.replace(flops, executed_train_per_token=per_token, dropped_share=counted.dropped_share)


def build_forward(config: RunConfig, model: Transformer, spread: Spread | None = None) -> Forward:
    """Return what training calls: the model, or its compiled form (compiled by the first call, in the warm-up)."""
    plain = model if spread is None else spread.entry(model)
    forward: Forward = torch.compile(plain) if config.train.compile else plain
    return forward


def warm_up(  # noqa: PLR0917 - the runner calls it, once
    config: RunConfig,
    model: Transformer,
    data: Dataset,
    device: torch.device,
    meter: Meter | RankMeter,
    forward: Forward,
    micro: MicroBatch,
    spread: Spread | None = None,
) -> WindowRecord:
    """Measure passes that allocate memory, choose kernels and compile; they change no weight and no average."""
    if spread is not None and spread.wrapped is not None:
        # DDP orders its buckets anew after its first passes; only then is a resumed run the same to the last digit
        for _ in range(_SETTLING_PASSES):
            training_pass(config, model, data, device, forward, micro, spread)
    with meter.window("warmup", repetition=0, sync=synchroniser(device)) as window:
        for _ in range(config.measure.warmup_steps):
            training_pass(config, model, data, device, forward, micro, spread)
    num_tokens = config.measure.warmup_steps * tokens_per_step(config.train)
    work = Work(unit="token", amount=num_tokens, num_input_tokens=num_tokens)
    return window.to_record(work=work, peak_memory_bytes=peak_memory_bytes(device))


def training_pass(  # noqa: PLR0917 - a step's whole context
    config: RunConfig,
    model: Transformer,
    data: Dataset,
    device: torch.device,
    forward: Forward,
    micro: MicroBatch,
    spread: Spread | None = None,
) -> StepSums:
    """Forward and backward passes of the first step, leaving weights, biases and gradients as they were."""
    train, spread = config.train, spread or Spread()
    inputs, targets = sample_batch(
        data.train, seed=config.seed, step=0, batch_size=train.batch_size, context_length=train.context_length
    )
    model.train()
    inputs_BT, targets_BT = (torch.from_numpy(spread.ranks.share(part)).to(device) for part in (inputs, targets))
    sums = accumulate(model, forward, inputs_BT, targets_BT, autocast_dtype(train.precision, device), micro, spread)
    model.zero_grad(set_to_none=True)
    return sums
