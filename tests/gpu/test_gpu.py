"""On a CUDA device: the same numbers as on a CPU within rounding, graphs that change none, energy from the card."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.core.config import Budget, DataConfig, MeasureConfig, RunConfig, TaskConfig, TrainConfig
from harness.core.model_config import ModelConfig
from harness.core.store import Store
from harness.infer.engine import decode, prefill
from harness.infer.sampling import Sampler
from harness.measure import Meter
from harness.models import build_model
from harness.models.experts import RoutedExperts
from harness.models.router import Routing
from harness.run.calibrate import run_calibration
from harness.run.runner import execute
from tests.unit.models.configs import DENSE, MOE, with_random_weights
from tests.unit.models.test_dispatch import SHAPES, make_case, run

ROOT = Path(__file__).parents[2]
FUSED = dataclasses.replace(MOE, dispatch="fused")
FAMILIES = [DENSE, MOE, FUSED, dataclasses.replace(MOE, attention="mla", router="mixtral")]
NAMES = ["dense", "moe", "moe fused", "moe mla"]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize(("config", "rtol"), [(DENSE, 1e-3), (MOE, 3e-2)])
def test_logits_equal_the_cpu(config, rtol) -> None:
    """Grouped products on CUDA take bf16 only, hence the wider bound for experts."""
    model = build_model(config, seed=0).eval()
    tokens = torch.randint(0, config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(tokens).logits_BTV
        found = model.cuda()(tokens.cuda()).logits_BTV.cpu()
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol / 10)


def _on_the_card(case: tuple[RoutedExperts, Tensor, Routing]) -> tuple[RoutedExperts, Tensor, Routing]:
    experts, x, routing = case
    moved = {field.name: getattr(routing, field.name) for field in dataclasses.fields(routing)}
    moved = {name: value if value is None else value.cuda() for name, value in moved.items()}
    return experts.cuda(), x.cuda(), Routing(**moved)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(("num_tokens", "num_experts", "top_k"), [*SHAPES, (4096, 64, 8)])
@pytest.mark.parametrize("name", ["grouped_mm", "bmm", "fused"])
def test_a_dispatch_equals_the_loop_to_the_precision_of_bf16(name, num_tokens, num_experts, top_k, drop) -> None:
    """Outputs and every gradient; experts that nobody chose get a gradient of zeros, not what memory held."""
    case = _on_the_card(make_case(num_tokens, num_experts, top_k, drop=drop))
    expected, found = run("loop", *case), run(name, *case)
    for slow, fast in zip(expected, found, strict=True):
        assert torch.isfinite(fast).all()
        assert float((fast - slow).norm() / slow.norm()) < 0.05  # one token's two gate gradients nearly cancel
    idle = case[2].load_E == 0
    assert all(not grad[idle].any() for grad in found[3:])


@pytest.mark.parametrize("drop", [False, True])
def test_the_fused_dispatch_gives_the_same_bits_twice(drop) -> None:
    case = _on_the_card(make_case(4096, 64, 8, drop=drop))
    assert all(
        torch.equal(first, second) for first, second in zip(run("fused", *case), run("fused", *case), strict=True)
    )


def test_the_fused_dispatch_waits_for_nothing() -> None:
    experts, x, routing = _on_the_card(make_case(129, 16, 3))
    run("fused", experts, x, routing)  # compiles the kernels
    torch.cuda.set_sync_debug_mode("error")
    try:
        run("fused", experts, x, routing)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "sampler", [{}, {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 3}], ids=["greedy", "sampled"]
)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("config", FAMILIES, ids=NAMES)
def test_decoding_with_graphs_equals_decoding_without(
    config: ModelConfig, batch: int, sampler: dict[str, float]
) -> None:
    model = with_random_weights(config).cuda()
    prompts = torch.randint(0, 64, (batch, 11), generator=torch.Generator().manual_seed(1)).cuda()
    found = []
    for use_graphs in (False, True):
        chosen = Sampler(**sampler)
        filled = prefill(model, prompts, 9, chosen)
        found.append(decode(model, filled, 9, chosen, use_graphs=use_graphs))
        assert (filled.recorded is not None) == use_graphs
    assert torch.equal(*found)


@pytest.mark.parametrize("config", FAMILIES, ids=NAMES)
def test_a_run_in_bf16_has_a_finite_loss_an_mfu_and_the_flops_of_its_trace(config: ModelConfig, tmp_path) -> None:
    settings = RunConfig(
        device="cuda",
        model=dataclasses.replace(config, vocab_size=0),
        data=DataConfig(corpus="text_files", globs=[str(ROOT / "harness" / "**" / "*.py")]),
        train=TrainConfig(budget=Budget(tokens=32_768), warmup_tokens=4096, precision="bf16", eval_bytes=16_384),
        task=TaskConfig(answer=False),
        measure=MeasureConfig(idle_s=0.05),
    )
    record = execute(settings, Store(tmp_path), lambda _: None)
    assert record.status == "finished"
    assert all(math.isfinite(loss) for _, loss in record.loss_curve)
    assert record.mfu is not None
    assert record.mfu > 0
    assert record.flops is not None
    assert record.flops.traced_total == pytest.approx(record.flops.formula_total, rel=1e-9)


def test_a_window_reads_the_card() -> None:
    a = torch.randn(4096, 4096, device="cuda")
    with Meter(MeasureConfig()) as meter, meter.window("busy", sync=torch.cuda.synchronize) as window:
        for _ in range(300):
            a = torch.tanh(a @ a)
    readings = [reading for reading in window.readings if reading.domain == "gpu"]
    assert readings
    assert all(reading.grade in ("A", "B") for reading in readings)
    assert all(reading.energy_j is None or reading.energy_j > 0 for reading in readings)


def test_a_quick_calibration_finds_the_timing_of_the_card(tmp_path, monkeypatch) -> None:
    """A real card: the counter has a period, the chosen power signal follows the load, and later windows use it."""
    monkeypatch.setenv("ISOJOULE_PROFILES", str(tmp_path))
    for result in run_calibration(quick=True):
        profile = result.profile
        assert result.path.is_file()
        assert profile.read_interval_s < 0.05
        assert profile.idle_w.value is not None
        assert profile.idle_w.value > 0
        assert profile.signals
        for fit in (profile.counter_period_s, *(signal.period_s for signal in profile.signals)):
            assert fit.reason if fit.value is None else 0 < fit.value < 3
        assert any(signal.window_s.value is not None for signal in profile.signals)
        for signal in profile.signals:
            steady = signal.agreement["steady"]
            assert steady.reason if steady.value is None else 0.5 < steady.value < 2
    with Meter(MeasureConfig()) as meter:
        assert any(info.calibrated_on is not None for info in meter.sensors if info.domain == "gpu")
