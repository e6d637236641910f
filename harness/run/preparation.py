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
from harness.train.micro import Forward, MicroBatch, StepSums, accumulate
from harness.train.schedule import tokens_per_step


def build(config: RunConfig, data: Dataset, device: torch.device) -> Transformer:
    """Return the model of a run on its device; a vocabulary that is not set is the tokenizer's."""
    model_config = config.model
    if model_config.vocab_size == 0:
        model_config = dataclasses.replace(model_config, vocab_size=data.info.vocab_size)
    return build_model(model_config, config.seed).to(device)


def check_flops(
    config: RunConfig, model: Transformer, data: Dataset, device: torch.device, micro: MicroBatch
) -> FlopCount:
    """Count a training step by formula, trace one, and return both; for experts the step's own rows are counted."""
    context = config.train.context_length
    num_tokens = tokens_per_step(config.train)
    traced, size, sums = 0, 0, []
    while size != micro.size:  # a pass that ran out of memory was traced as far as it came
        size = micro.size
        traced = trace_flops(lambda: sums.append(_training_pass(config, model, data, device, model, micro)))
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


def build_forward(config: RunConfig, model: Transformer) -> Forward:
    """Return what training calls: the model, or its compiled form (compiled by the first call, in the warm-up)."""
    forward: Forward = torch.compile(model) if config.train.compile else model
    return forward


def warm_up(  # noqa: PLR0917 - the runner calls it, once
    config: RunConfig,
    model: Transformer,
    data: Dataset,
    device: torch.device,
    meter: Meter,
    forward: Forward,
    micro: MicroBatch,
) -> WindowRecord:
    """Measure passes that allocate memory, choose kernels and compile; they change no weight and no average."""
    with meter.window("warmup", repetition=0, sync=synchroniser(device)) as window:
        for _ in range(config.measure.warmup_steps):
            _training_pass(config, model, data, device, forward, micro)
    num_tokens = config.measure.warmup_steps * tokens_per_step(config.train)
    work = Work(unit="token", amount=num_tokens, num_input_tokens=num_tokens)
    return window.to_record(work=work, peak_memory_bytes=peak_memory_bytes(device))


def _training_pass(  # noqa: PLR0917 - the two above call it
    config: RunConfig,
    model: Transformer,
    data: Dataset,
    device: torch.device,
    forward: Forward,
    micro: MicroBatch,
) -> StepSums:
    """Forward and backward passes of the first step, leaving weights, biases and gradients as they were."""
    train = config.train
    inputs, targets = sample_batch(
        data.train, seed=config.seed, step=0, batch_size=train.batch_size, context_length=train.context_length
    )
    model.train()
    inputs_BT, targets_BT = torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)
    sums = accumulate(model, forward, inputs_BT, targets_BT, autocast_dtype(train.precision, device), micro)
    model.zero_grad(set_to_none=True)
    return sums
