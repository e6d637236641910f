"""A run takes as much of its batch at once as fits, says so in its record, and learns the same either way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.core.config import validate_run
from harness.core.errors import ConfigError
from harness.core.store import Store
from harness.models import build_model
from harness.models.transformer import Transformer
from harness.run import batches
from harness.run.batches import fit_batch, fit_windows
from harness.run.device import describe_precision, free_memory_bytes
from tests.unit.run.tiny import DENSE, MOE, run_here, tiny_run

CPU = torch.device("cpu")


def test_a_run_says_how_it_was_cut(tmp_path: Path) -> None:
    for model in (DENSE, MOE):
        record = run_here(tiny_run(model), Store(tmp_path))
        cut = record.batches
        assert cut is not None
        assert (cut.precision, cut.micro_batch_size, cut.eval_batch_size, cut.reason) == ("fp32", 4, 16, None)
        assert cut.micro_batch_source == "the whole batch fits by estimate"
        assert 0 < (cut.estimated_bytes or 0) < (cut.free_bytes or 0)
        assert record.flops is not None
        assert record.flops.relative_gap == 0.0
        assert Store(tmp_path).load_record(record.run_id) == record


def test_a_run_in_parts_counts_the_same_work_and_learns_the_same(tmp_path: Path) -> None:
    for model in (DENSE, dataclasses.replace(MOE, dispatch="bmm", mtp_depth=1)):
        whole = run_here(tiny_run(model), Store(tmp_path))
        parted = run_here(tiny_run(model, train={"micro_batch_size": 2}), Store(tmp_path))
        assert parted.run_id != whole.run_id
        assert parted.batches is not None
        assert parted.batches.micro_batch_source == "train.micro_batch_size"
        assert (parted.batches.micro_batch_size, parted.batches.free_bytes) == (2, None)
        assert parted.flops is not None
        assert abs(parted.flops.relative_gap or 0.0) < 0.01
        assert parted.path is not None
        assert whole.path is not None
        assert parted.path.flops == whole.path.flops
        metric = "validation_bits_per_byte"
        assert parted.quality_value(metric) == pytest.approx(whole.quality_value(metric), rel=1e-3)


def test_a_trunk_is_not_evaluated_and_says_why(tmp_path: Path) -> None:
    record = run_here(tiny_run(DENSE, role="trunk", branch_tokens=[40 * 64]), Store(tmp_path))
    assert record.batches is not None
    assert (record.batches.eval_batch_size, record.batches.reason) == (None, "a trunk is not evaluated")


def test_memory_that_runs_out_halves_the_parts_and_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Transformer.forward

    def cramped(self: Transformer, tokens_BT: torch.Tensor, *rest: Any, **named: Any) -> Any:
        output = forward(self, tokens_BT, *rest, **named)
        if self.training and len(tokens_BT) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")  # after work that the trace has counted
        return output

    monkeypatch.setattr(Transformer, "forward", cramped)
    record = run_here(tiny_run(dataclasses.replace(MOE, router="mixtral")), Store(tmp_path))
    assert record.batches is not None
    assert record.batches.micro_batch_size == 2
    assert record.flops is not None
    assert abs(record.flops.relative_gap or 0.0) < 0.01, "the pass that failed is not in the count"
    found = {finding.code: finding for finding in record.findings}
    assert (found["micro_batch_halved"].value, found["micro_batch_halved"].limit) == (2, 4)
    assert "routed_in_parts" in found


@pytest.mark.parametrize(
    ("sequences", "size", "source"),
    [
        (9.5, 8, "whole batch"),
        (7.5, 4, "largest part"),
        (2.5, 2, "largest part"),
        (1.5, 1, "largest part"),
        (0.5, 1, "one sequence, though"),
    ],
)
def test_the_largest_divisor_that_fits_is_taken(
    sequences: float, size: int, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_run(DENSE, train={"batch_size": 8})
    model = build_model(dataclasses.replace(DENSE, vocab_size=256), seed=0)
    footprint = fit_batch(config, model, CPU).footprint
    state = footprint.state_bytes(sum(parameter.numel() for parameter in model.parameters()))
    free = round((state + sequences * footprint.sequence_bytes()) / 0.8)
    monkeypatch.setattr(batches, "free_memory_bytes", lambda _: free)
    fit = fit_batch(config, model, CPU)
    assert fit.micro.size == size
    assert source in fit.micro.source
    assert fit.free_bytes == free
    assert fit.estimated_bytes == state + size * footprint.sequence_bytes()
    windows = round(3.5 * dataclasses.replace(footprint, number_bytes=4).window_bytes() / 0.8)
    monkeypatch.setattr(batches, "free_memory_bytes", lambda _: windows)
    assert fit_windows(fit, config.train, CPU) == 3
    monkeypatch.setattr(batches, "free_memory_bytes", lambda _: 0)
    assert fit_windows(fit, config.train, CPU) == 1


def test_a_micro_batch_that_does_not_divide_the_batch_is_a_mistake() -> None:
    for size in (3, -1, 8):
        with pytest.raises(ConfigError, match=r"divisor of train.batch_size \(1, 2, 4\), or 0"):
            validate_run(tiny_run(DENSE, train={"micro_batch_size": size}))
    with pytest.raises(ConfigError, match=r"train.eval_batch_size is 0"):
        validate_run(tiny_run(DENSE, train={"eval_batch_size": 0}))


def test_a_device_says_what_it_has_and_computes_in() -> None:
    assert free_memory_bytes(CPU) > 1 << 20
    cuda = torch.device("cuda")
    assert [describe_precision(name, CPU) for name in ("auto", "fp32", "bf16")] == ["fp32", "fp32", "bf16"]
    assert [describe_precision(name, cuda) for name in ("auto", "fp32", "bf16")] == ["bf16", "tf32", "bf16"]
