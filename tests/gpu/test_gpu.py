"""On a CUDA device: the same losses as on a CPU within rounding, and energy from the card's own counter."""

from __future__ import annotations

import pytest
import torch

from harness.core.config import MeasureConfig
from harness.measure import Meter
from harness.models import build_model
from harness.run.calibrate import run_calibration
from tests.unit.models.configs import DENSE, MOE

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
