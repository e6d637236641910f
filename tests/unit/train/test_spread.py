"""Several processes learn what one does: losses, gradients, loads; checkpoints go from any layout to any other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.core.errors import RunFailedError
from harness.train.checkpoint import checkpoint_path, find_last_good, open_checkpoint
from harness.train.integrity import find_damage
from harness.train.ranks import ALONE
from tests.unit.train.spread_models import BATCH, FORK, MODELS, go_on, start_ranks, train

# The largest relative difference of a loss that is allowed; seen: below 2e-7.
LOSS_TOLERANCE = 1e-5
JOBS = [
    *[{"do": "train", "strategy": "ddp", "model": model, "key": f"ddp {model}"} for model in MODELS],
    *[
        {"do": "train", "strategy": "fsdp", "model": model, "key": f"fsdp {model}"}
        for model in ("dense", "deepseek_v3")
    ],
    *[
        {"do": "train", "strategy": "ep", "model": model, "key": f"ep {model}"}
        for model in ("deepseek_v3", "mixtral", "olmoe", "switch", "switch_narrow")
    ],
    {"do": "train", "strategy": "ddp", "model": "mixtral", "key": "ddp mixtral in parts", "part": 2},
    {"do": "train", "strategy": "fsdp", "model": "mixtral", "key": "fsdp mixtral in parts", "part": 2},
    {"do": "train", "strategy": "ep", "model": "mixtral", "key": "ep mixtral in parts", "part": 2},
    *[
        {"do": "save_half", "strategy": strategy, "model": "deepseek_v3", "key": f"saved {strategy}"}
        for strategy in ("ddp", "fsdp", "ep")
    ],
]

MOVES = [("fsdp", "fsdp"), ("ep", "fsdp"), ("fsdp", "ep"), ("ddp", "fsdp"), ("ep", "ddp")]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Return what two ranks have come to, and the folder with their checkpoints."""
    folder = tmp_path_factory.mktemp("two")
    jobs = [{**job, "root": str(folder / str(job["strategy"]))} if job["do"] == "save_half" else job for job in JOBS]
    return start_ranks(2, jobs, folder), folder


@pytest.fixture(scope="module")
def four(two: tuple[dict[str, Any], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Return what four ranks have come to: on from the checkpoints of two, and from their own."""
    _, saved = two
    folder = tmp_path_factory.mktemp("four")
    jobs: list[dict[str, Any]] = [
        {"do": "train", "strategy": "ddp", "model": "dense", "key": "ddp dense"},
        {"do": "train", "strategy": "fsdp", "model": "olmoe", "key": "fsdp olmoe"},
        {"do": "train", "strategy": "ep", "model": "switch", "key": "ep switch"},
        {"do": "train", "strategy": "ep", "model": "mixtral", "key": "ep mixtral by two", "expert_parallel": 2},
        *[
            {"do": "go_on", "strategy": to, "model": "deepseek_v3", "key": f"{of} to {to}", "root": str(saved / of)}
            for of, to in MOVES
        ],
        {
            "do": "save_half", "strategy": "fsdp", "model": "deepseek_v3", "key": "saved", "root": str(folder / "fsdp"),
        },
    ]  # fmt: skip
    return start_ranks(4, jobs, folder), folder


_alone: dict[tuple[str, int], dict[str, Any]] = {}


def alone(model: str, part: int) -> dict[str, Any]:
    """Return what one process comes to whose steps go through in parts of `part` sequences."""
    if (model, part) not in _alone:
        _alone[model, part] = train(model, ALONE, part)
    return _alone[model, part]


def check_alike(found: dict[str, Any], expected: dict[str, Any], *, loads: bool = True) -> None:
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=LOSS_TOLERANCE)
    assert found["losses"][-1] < found["losses"][0]
    assert found["weights"].keys() == expected["weights"].keys()
    for name, weights in expected["weights"].items():
        scale = max(map(abs, weights)) or 1.0
        np.testing.assert_allclose(found["weights"][name], weights, rtol=1e-3, atol=1e-4 * scale, err_msg=name)
    if loads:
        assert found["rows"] == expected["rows"]
        assert found["load"] == expected["load"]


@pytest.mark.parametrize("job", [job for job in JOBS if job["do"] == "train"], ids=lambda job: str(job["key"]))
def test_two_processes_learn_what_one_does(two: tuple[dict[str, Any], Path], job: dict[str, Any]) -> None:
    """Against one process whose step goes through in the same parts, so that routers balance over the same tokens."""
    found, expected = two[0][job["key"]], alone(job["model"], job.get("part", BATCH // 2))
    assert found["loads"] == expected["loads"]
    assert found["gradients"].keys() == expected["gradients"].keys()
    for name, gradient in expected["gradients"].items():
        scale = max(map(abs, gradient))
        np.testing.assert_allclose(found["gradients"][name], gradient, rtol=1e-4, atol=1e-5 * scale, err_msg=name)
    check_alike(found, expected)


@pytest.mark.parametrize(
    ("key", "model"),
    [("ddp dense", "dense"), ("fsdp olmoe", "olmoe"), ("ep switch", "switch"), ("ep mixtral by two", "mixtral")],
)
def test_four_processes_learn_what_one_does(four: tuple[dict[str, Any], Path], key: str, model: str) -> None:
    check_alike(four[0][key], alone(model, BATCH // 4))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "ep"])
def test_resumed_training_is_uninterrupted_training_to_the_last_digit(
    two: tuple[dict[str, Any], Path], strategy: str
) -> None:
    saved = two[0][f"saved {strategy}"]
    resumed = {key: value for key, value in saved["resumed"].items() if key != "loaded"}
    assert resumed == saved["through"]


def test_four_processes_resume_to_the_last_digit_too(four: tuple[dict[str, Any], Path]) -> None:
    saved = four[0]["saved"]
    assert {key: value for key, value in saved["resumed"].items() if key != "loaded"} == saved["through"]


@pytest.mark.parametrize(
    ("of", "to"),
    MOVES,
)
def test_a_checkpoint_of_two_processes_goes_on_in_four(
    two: tuple[dict[str, Any], Path], four: tuple[dict[str, Any], Path], of: str, to: str
) -> None:
    found, through = four[0][f"{of} to {to}"], two[0][f"saved {of}"]["through"]
    assert any(name.endswith("exp_avg_sq") for name in found["loaded"])
    check_alike(found, through, loads=False)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "ep"])
def test_a_checkpoint_of_two_processes_goes_on_in_one(two: tuple[dict[str, Any], Path], strategy: str) -> None:
    found = go_on("deepseek_v3", ALONE, BATCH, two[1] / strategy)
    check_alike(found, two[0][f"saved {strategy}"]["through"], loads=False)


def test_a_checkpoint_of_four_processes_goes_on_in_one(four: tuple[dict[str, Any], Path]) -> None:
    check_alike(go_on("deepseek_v3", ALONE, BATCH, four[1] / "fsdp"), four[0]["saved"]["through"], loads=False)


def test_a_sharded_checkpoint_can_be_opened_as_a_model(two: tuple[dict[str, Any], Path]) -> None:
    for strategy in ("fsdp", "ep"):
        stored = open_checkpoint(checkpoint_path(two[1] / strategy, FORK))
        assert stored.config.vocab_size == 32
        assert stored.reader.read("blocks.1.feed_forward.experts.down_EFD").shape == (4, 8, 16)
        assert "embedding.weight" in stored.reader


def test_a_damaged_part_is_found_and_not_loaded(two: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(two[1] / "fsdp", root)
    folder = checkpoint_path(root, FORK)
    assert find_damage(folder) is None
    part = next((folder / "sharded").glob("__1_*"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert find_damage(folder) == f"sharded/{part.name} is not what was written"
    with pytest.raises(RunFailedError, match="cannot be used"):
        go_on("deepseek_v3", ALONE, BATCH, root)
    part.unlink()
    assert find_last_good(root)[0] is None
