"""Conventions of counting: each differs from the record's count by exactly the part that it leaves out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.analysis.sensitivity import flops
from harness.core.records import RunRecord
from harness.core.store import Store

ROOT = Path(__file__).resolve().parents[4]
STORE = ROOT / "reports" / "2026-11_tasks_cpu"


@pytest.fixture(scope="module")
def sparse() -> RunRecord:
    records, _ = Store(STORE).load_records()
    return next(record for record in records if record.arm == "moe" and record.role == "branch")


def test_each_convention_leaves_out_what_it_says(sparse: RunRecord) -> None:
    assert sparse.flops is not None
    assert sparse.data is not None
    model, length = sparse.config["model"], sparse.config["train"]["context_length"]
    nominal = sparse.flops.train_per_token
    width, layers, heads = model["d_model"], model["num_layers"], model["num_heads"]
    router = 3 * (layers - model["num_dense_layers"]) * 2 * width * model["num_experts"]
    assert flops.count_without_router(sparse) == nominal - router
    assert flops.count_without_head(sparse) == nominal - 3 * 2 * width * sparse.data.vocab_size
    attention = 3 * layers * 4 * heads * (width // heads)
    assert flops.count_causal(sparse) == pytest.approx(nominal - attention * (length - (length + 1) / 2))
    assert flops.count_executed(sparse) == sparse.flops.executed_train_per_token


def test_what_the_formula_does_not_reproduce_is_not_recounted(sparse: RunRecord) -> None:
    assert sparse.flops is not None
    other = dataclasses.replace(sparse, flops=dataclasses.replace(sparse.flops, train_per_token=1.0))
    assert "another version" in str(flops.count_causal(other))
    predicting = dataclasses.replace(
        sparse, config={**sparse.config, "model": {**sparse.config["model"], "mtp_depth": 1}}
    )
    assert "extra predictions" in str(flops.count_causal(predicting))
    for config in ({}, {"model": {"no_such": 1}}, {"model": {"family": "hf"}}):
        assert isinstance(flops.count_causal(dataclasses.replace(sparse, config=config)), str)


def test_old_records_of_sparse_models_hold_no_executed_flops(sparse: RunRecord) -> None:
    assert sparse.flops is not None
    old = dataclasses.replace(sparse, flops=dataclasses.replace(sparse.flops, executed_train_per_token=None))
    assert "no executed FLOPs" in str(flops.count_executed(old))
