"""Cards and constants: shipped, the user's own, scaled by assumption, calibrated; every mistake is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.analysis.projection.constants import choose_constants
from harness.analysis.projection.files import list_names
from harness.analysis.projection.hardware import REFERENCE_CARD, load_card
from harness.analysis.projection.pairs import load_pairs
from harness.core.errors import ConfigError
from harness.flops.peaks import find_peak
from harness.flops.published.shipped import read_model

OWN: dict[str, Any] = {
    "name": "mine",
    "memory_bytes": 24e9,
    "bandwidth_bytes_per_s": 1e12,
    "bf16_flops_per_s": 165e12,
    "power_limit_w": 450,
}


def test_the_shipped_cards_agree_with_the_table_of_peaks() -> None:
    assert list_names("hardware") == ["a100", "b200", "h100", "h200", "h800"]
    for name in list_names("hardware"):
        card = load_card(name)
        peak = find_peak(card.name, "bf16")
        assert (peak is None) == (name == "h800")
        if peak is not None:
            assert card.bf16_flops_per_s.value == peak.flops_per_s


def test_an_h800_is_an_h100_with_less_nvlink() -> None:
    full, limited = load_card("h100"), load_card("h800")
    assert limited.bf16_flops_per_s.value == full.bf16_flops_per_s.value
    assert limited.bandwidth_bytes_per_s.value == full.bandwidth_bytes_per_s.value
    assert limited.nvlink_bytes_per_s.value is not None
    assert full.nvlink_bytes_per_s.value is not None
    assert limited.nvlink_bytes_per_s.value < full.nvlink_bytes_per_s.value


def test_a_card_without_fp8_units_computes_at_its_bf16_peak() -> None:
    card = load_card("a100")
    assert card.fp8_flops_per_s.value is None
    assert card.peak_flops_per_s(fp8=True) == card.bf16_flops_per_s.value
    assert load_card("h100").peak_flops_per_s(fp8=True) == 1979e12


@pytest.mark.parametrize(("name", "values", "rms"), [("h100", (0.77, 146, 2.6), 0.08), ("b200", (1.5, 130, 1.6), 0.17)])
def test_fitted_constants_come_with_their_error(name: str, values: tuple[float, ...], rms: float) -> None:
    constants = choose_constants(load_card(name))
    found = (constants.j_per_step, constants.j_per_byte * 1e12, constants.j_per_flop * 1e12)
    assert found == pytest.approx(values)
    assert (constants.constants_origin, constants.rms) == ("fitted", rms)


def test_other_cards_are_scaled_by_a_stated_assumption() -> None:
    """An A100 has 400 / 700 of the power, 2.039 / 3.35 of the bandwidth and 312 / 989.5 of the peak of an H100."""
    constants = choose_constants(load_card("a100"))
    assert constants.j_per_step == pytest.approx(0.77 * 400 / 700)
    assert constants.j_per_byte == pytest.approx(146e-12 * (400 / 2.039) / (700 / 3.35))
    assert constants.j_per_flop == pytest.approx(2.6e-12 * (400 / 312) / (700 / 989.5))
    assert constants.constants_origin == "scaled_by_assumption"
    assert constants.rms is None
    assert "nothing was fitted" in str(constants.rms_reason)
    assert constants.source.startswith("assumed")


def test_only_measured_cards_have_fitted_constants() -> None:
    assert [name for name in list_names("hardware") if load_card(name).constants] == ["b200", REFERENCE_CARD]


def test_a_calibration_of_this_machine_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"j_per_step": 0.5, "pj_per_byte": 100, "pj_per_flop": 1, "device": "H200"}))
    constants = choose_constants(load_card("h100"), path)
    assert (constants.j_per_step, constants.j_per_byte, constants.j_per_flop) == (0.5, 1e-10, 1e-12)
    assert constants.constants_origin == "calibrated_here"
    assert constants.source == str(path)
    assert "no error" in str(constants.rms_reason)


def test_an_own_card_may_give_plain_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(OWN))
    card = load_card(str(path))
    assert (card.memory_bytes.value, card.memory_bytes.tag) == (24e9, "own")
    assert card.fp8_flops_per_s.value is None
    assert choose_constants(card).constants_origin == "scaled_by_assumption"


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in OWN.items() if key != name}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (yaml.safe_dump(_without("power_limit_w")), "power_limit_w: Field required"),
        (yaml.safe_dump({**OWN, "memory_bytes": -1}), "memory_bytes.value: Input should be greater than 0"),
        (yaml.safe_dump({**OWN, "memory_byte": 1}), "memory_byte: Extra inputs are not permitted. Did you mean"),
        (yaml.safe_dump({**OWN, "memory_bytes": "big"}), "memory_bytes"),
        ("- 1", "holds no keys"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_mistake_in_an_own_card_is_one_line(content: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_card(str(path))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "is no JSON"),
        ("{}", "j_per_step: Field required"),
        ('{"j_per_step": -1, "pj_per_byte": 1, "pj_per_flop": 1}', "greater than or equal to 0"),
        ('{"j_per_step": 0, "pj_per_byte": 0, "pj_per_flop": 0}', "all three constants are 0"),
        ('{"j_per_step": NaN, "pj_per_byte": 1, "pj_per_flop": 1}', "finite"),
    ],
)
def test_a_mistake_in_a_calibration_is_one_line(content: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        choose_constants(load_card("h100"), path)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_pair_names_shipped_models_and_its_file() -> None:
    pairs = load_pairs()
    assert [pair.id for pair in pairs] == list_names("pair")
    for pair in pairs:
        assert not any(
            layer.feed_forward.__class__.__name__ != "DenseFeedForward" for layer in read_model(pair.dense).layers
        )
        assert pair.id == f"{pair.moe}_{pair.dense}"
        assert read_model(pair.moe).layers
        assert pair.also_differs
