"""The fused dispatch equals the loop in Triton's interpreter, and its kernels compile for a card; no GPU is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.core.errors import ConfigError
from harness.models import permuted
from harness.models.dispatch import DISPATCHES
from tests.tools import require_module
from tests.unit.models.interpreted import MODELS, SORTED
from tests.unit.models.test_dispatch import SHAPES, make_case

ROOT = Path(__file__).parents[3]
# Kernel: types of its arguments before the compile-time ones.
KERNELS = {
    "_rank_choices": ("*i64", "*i32", "*i32", "i32", "i32"),
    "_place_choices": ("*i64", "*i32", "*i32", "*i32", "*i32", "*i32", "i32", "i32"),
    "_spread_rows": ("*bf16", "*i32", "*i32", "*bf16", "i32", "i32"),
    "_collect_rows": ("*bf16", "*i32", "*i32", "*bf16", "i32", "i32"),
    "_gated_swiglu": ("*bf16", "*fp32", "*i32", "*i32", "*bf16", "i32"),
    "_gated_swiglu_backward": ("*bf16", "*bf16", "*fp32", "*i32", "*i32", "*bf16", "*fp32", "*bf16", "i32"),
}
CONSTANTS = {"BLOCK": 128, "TOP_K": 8, "TOKENS": 2, "ROWS": 2, "COLUMNS": 1024}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what `tests.unit.models.interpreted` found."""
    require_module("triton")
    path = tmp_path_factory.mktemp("interpreted") / "results.pt"
    variables = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "tests.unit.models.interpreted", str(path)]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_equals_the_loop_in_outputs_and_every_gradient(results, shape, drop) -> None:
    for slow, fast in zip(*results[f"{shape} drop={drop}"], strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_rows_wider_than_a_tile_equal_the_loop(results) -> None:
    for slow, fast in zip(*results["wide"], strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)


def test_choices_that_were_all_dropped_give_zeros(results) -> None:
    fused = results["no rows"]
    assert all(torch.equal(tensor, torch.zeros_like(tensor)) for tensor in fused)


def test_in_bf16_it_is_the_fp32_loop_to_the_precision_of_bf16(results) -> None:
    expected, found = results["bf16"]
    assert found.dtype == expected.dtype
    assert float((found - expected).norm() / expected.norm()) < 0.02


@pytest.mark.parametrize("case", SORTED)
def test_places_are_those_of_a_stable_sort(results, case) -> None:
    experts, places, order, ends = results[f"sorted {case}"]
    expected = torch.argsort(experts.flatten(), stable=True)
    assert torch.equal(order.long(), expected)
    assert torch.equal(places.flatten()[expected].long(), torch.arange(case[0]))
    assert torch.equal(ends.long(), torch.bincount(experts.flatten(), minlength=case[1] + 1)[: case[1]].cumsum(0))


@pytest.mark.parametrize("name", MODELS)
def test_traced_flops_of_a_training_step_are_the_executed_ones(results, name) -> None:
    traced, executed, dropped = results[f"flops {name}"]
    assert traced == pytest.approx(executed, rel=1e-9)
    assert (dropped > 0) == (name == "some dropped")


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("capability", [80, 90])
def test_a_kernel_compiles_for_a_card(name, capability, tmp_path, monkeypatch) -> None:
    """The compiler refuses what the interpreter lets pass: types that do not fit, shapes that are no powers of two."""
    require_module("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton import compiler
    from triton.backends.compiler import GPUTarget

    kernel = getattr(permuted.load_kernels(), name)
    types = KERNELS[name]
    signature = dict(zip(kernel.arg_names, [*types, *["constexpr"] * 3], strict=False))
    constants = {argument: CONSTANTS[argument] for argument in kernel.arg_names[len(types) :]}
    aligned = {(index,): [["tt.divisibility", 16]] for index in range(len(types))}
    source = compiler.ASTSource(kernel, signature, constants, aligned)
    assert compiler.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]


def test_without_triton_the_error_says_what_to_set(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "harness.models.triton_kernels", raising=False)
    permuted.load_kernels.cache_clear()
    experts, x, routing = make_case(3, 4, 2)
    with pytest.raises(ConfigError, match=r"needs Triton.*set model\.dispatch=auto"):
        DISPATCHES.get("fused")(x, routing, experts.gate_up_EDF, experts.down_EFD)


def test_on_a_cpu_the_error_says_what_to_set() -> None:
    require_module("triton")
    experts, x, routing = make_case(3, 4, 2)
    with pytest.raises(ConfigError, match=r"CUDA device only; set model\.dispatch=auto"):
        DISPATCHES.get("fused")(x, routing, experts.gate_up_EDF, experts.down_EFD)
