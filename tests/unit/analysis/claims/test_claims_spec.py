"""Claim files: they load, they are told apart by kind, and each mistake is one line that names the file."""

from __future__ import annotations

import pytest

from harness.analysis.claims import load_claims, load_published
from harness.analysis.claims.spec import METRIC_KINDS, PRESS_CLAIMS
from harness.core.errors import ConfigError

CLAIM = """id: x
statement: s
source: s
kind: counted
"""
FLOPS = CLAIM + "metric: training_flops\n"


def test_the_shipped_claims_load_and_say_what_they_are():
    claims = {claim.id: claim for claim in load_claims()}
    assert set(PRESS_CLAIMS) < set(claims)
    for claim in claims.values():
        assert claim.statement
        assert claim.source
        assert claim.kind == METRIC_KINDS[claim.metric]
    assert claims["energy_per_task_90"].kind == "energy"
    assert [claim.id for claim in load_claims(["training_compute_tenth"])] == ["training_compute_tenth"]
    assert {claim.min_n for claim in claims.values()} == {3}
    assert {claim.comparator for claim in claims.values()} >= {"<=", "<", ">"}


def test_published_claims_are_none_of_the_testable_ones():
    assert not {claim.id for claim in load_claims()} & {row.id for row in load_published()}
    with pytest.raises(ConfigError, match="is not known"):
        load_claims([load_published()[0].id])


def test_an_unknown_claim_is_named_with_its_neighbour():
    with pytest.raises(ConfigError, match="Did you mean 'training_compute_tenth'"):
        load_claims(["training_compute_tent"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id: x", "statement"),
        ("a: [", "not YAML"),
        ("[]", "no 'key: value' lines"),
        ("", "no 'key: value' lines"),
        (CLAIM + "metric: nope\nfactor: 1", "metric"),
        (FLOPS + "factor: 0", "above 0"),
        (FLOPS + "factor: .inf", "factor"),
        (FLOPS + "factor: 1\ncomparator: '=='", "comparator"),
        (FLOPS + "factor: 1\ntolerance: 1", "tolerance"),
        (FLOPS + "factor: 1\ntolerance: -0.1", "tolerance"),
        (FLOPS + "factor: 1\nmin_n: 1", "min_n"),
        (FLOPS + "factor: 1\nfaktor: 2", "faktor: this key is not known"),
        (FLOPS + "factor: 1\nselectors: {arm: dense}", "selectors.arm: this key is not known"),
        (FLOPS + "factor: 1\nselectors: {matched_by: size}", "matched_by"),
        (CLAIM + "metric: training_energy\nfactor: 1", "training_energy is energy"),
    ],
)
def test_a_claim_file_that_is_none_is_refused_in_one_line(tmp_path, text, words):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_claims(folder=tmp_path)
    line = str(caught.value)
    assert "bad.yaml" in line
    assert words in line
    assert "\n" not in line


def test_an_id_stands_in_one_file_only(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(FLOPS + "factor: 1")
    with pytest.raises(ConfigError, match=r"two\.yaml: the id 'x' is taken by one\.yaml"):
        load_claims(folder=tmp_path)
