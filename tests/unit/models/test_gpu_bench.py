"""The card's bench runs through at toy shapes on a CPU; its figures mean nothing there."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from bench.models import gpu, gpu_parts


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return the results of all parts and the file they were written to; nothing is compiled."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "COMPILE_UNTIL_S", -1.0)
        return gpu.measure(gpu_parts.TINY, torch.device("cpu"), folder), folder / "models_gpu.json"


def test_every_arm_has_figures_or_says_why_not(measured) -> None:
    result, _ = measured
    (layer,) = result["layers"].values()
    assert {*layer["median_s"], *layer["failed"]} == {"dense", "grouped_mm", "fused", "bmm", "transformers grouped_mm"}
    assert "fused" in layer["failed"]
    for part, figure in (("training", "mfu"), ("decoding", "bandwidth_share")):
        assert set(result[part]) == {"dense", "sparse"}
        for row in result[part].values():
            assert row["arms"]
            assert all(arm[figure] > 0 for arm in row["arms"].values())
    assert "no time left" in result["training"]["dense"]["failed"]["plain, compiled"]


def test_the_file_holds_what_the_table_shows(measured) -> None:
    result, path = measured
    written = json.loads(path.read_text())
    assert written["bars"] == result["bars"]
    assert len(result["bars"]) == 4
    table = gpu.render(result)
    assert all(bar["bar"] in table for bar in result["bars"])


def test_a_bar_fails_where_no_arm_ran(measured) -> None:
    result, _ = measured
    empty = {part: {name: {"arms": {}} for name in result[part]} for part in ("training", "decoding")}
    assert not any(bar["passed"] for bar in gpu.judge(empty))


def test_without_a_card_it_is_the_users_mistake(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 2
    assert capsys.readouterr().err.startswith("no CUDA device")
