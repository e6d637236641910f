"""`isojoule fit`: a table, JSON of a fixed layout, and exit code 2 with one line for a mistake."""

from __future__ import annotations

import json

import pytest

from harness.cli.command import main
from tests.unit.analysis.laws.synthetic import make_compute_points, make_points, write_csv

QUICK = ["--resamples", "100"]


def fit_to_json(capsys, *arguments):
    assert main(["fit", *map(str, arguments), *QUICK, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_family_stands_at_the_top(tmp_path, capsys):
    path = write_csv(tmp_path / "p.csv", [make_points(40)])
    found = fit_to_json(capsys, path, "--budget", "1e23")
    for name in ("E", "A", "B", "alpha", "beta"):
        assert set(found[name]) == {"estimate", "stderr", "ci_low", "ci_high"}
        assert found[name]["ci_low"] < found[name]["estimate"] < found[name]["ci_high"]
    assert found["n"] == 40
    assert found["form"].startswith("L(N, D)")
    best = found["optimum"]
    assert best["flops"] == pytest.approx(6 * best["params"]["estimate"] * best["tokens"]["estimate"])
    assert best["extrapolated"] is True
    assert "diagnostics" in found
    assert isinstance(found["warnings"], list)


def test_families_stand_above_their_keys_and_are_compared(tmp_path, capsys):
    families = [make_compute_points(family="dense"), make_compute_points(family="moe", multiplier=3, seed=1)]
    path = write_csv(tmp_path / "p.csv", families, family=True, columns=("flops", "loss"))
    found = fit_to_json(capsys, path, "--budget", "1e20")
    assert set(found) == {"dense", "moe", "comparison", "notes", "schema_version"}
    assert {"E", "A", "alpha", "optimum"} <= set(found["moe"])
    assert "B" not in found["moe"]
    assert found["moe"]["optimum"]["extrapolated"] is False
    shared = found["comparison"]["shared_E"]
    assert shared["families"]["dense"]["E"] == shared["families"]["moe"]["E"]
    assert shared["pairs"][0]["p_value"] <= 1
    assert found["comparison"]["multipliers"][0]["baseline"] == "dense"


def test_the_table_and_the_file_hold_the_same_numbers(tmp_path, capsys):
    path = write_csv(tmp_path / "p.csv", [make_points(40)])
    assert main(["fit", str(path), *QUICK, "--json", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text())
    for name in ("E", "A", "B", "alpha", "beta"):
        assert f"{found[name]['estimate']:.5g}" in shown
        assert f"{found[name]['ci_low']:.5g} to {found[name]['ci_high']:.5g}" in shown
    assert "hierarchical bootstrap" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "much"], "--budget is 'much'"),
        (["--budget", "0"], "above 0"),
        (["--budget", "inf"], "above 0"),
        (["--resamples", "5"], "100 or more"),
        (["--seed", "-1"], "--seed is '-1'"),
        (["--json", "/nowhere/out.json"], "cannot write"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line(tmp_path, capsys, arguments, said):
    path = write_csv(tmp_path / "p.csv", [make_points(12)])
    assert main(["fit", str(path), *(QUICK if "--resamples" not in arguments else []), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("params,tokens,loss\n" + "".join(f"{i},{i},{i}\n" for i in range(1, 5)), "at least 6 distinct pairs"),
        ("params,tokens,loss\n" + "".join(f"{i % 2 + 1},{i},{i}\n" for i in range(1, 9)), "at least 3 distinct sizes"),
        (
            "params,tokens,loss\n" + "".join(f"{i},{20 * i},{9 - i}\n" for i in range(1, 9)),
            "tokens follow from params",
        ),
        ("flops,loss\n" + "".join(f"{i},{i}\n" for i in range(1, 4)), "at least 4 distinct budgets"),
        ("flops,loss\n" + "".join(f"{i},2\n" for i in range(1, 9)), "losses that differ"),
    ],
)
def test_too_few_points_say_how_many_are_needed(tmp_path, capsys, text, said):
    path = tmp_path / "p.csv"
    path.write_text(text)
    assert main(["fit", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(capsys):
    assert main(["fit", "nowhere.csv"]) == 2
    assert "'nowhere.csv' does not exist" in capsys.readouterr().err
