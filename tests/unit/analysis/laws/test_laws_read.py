"""Points come from a CSV; every mistake is one line that names what to mend."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analysis.laws.points import LOSS_OF_COMPUTE, LOSS_OF_SIZE_AND_TOKENS
from harness.analysis.laws.read import read_points
from harness.core.errors import RecordError


def read(tmp_path, text):
    path = tmp_path / "points.csv"
    path.write_text(text)
    return read_points(path)


def test_columns_choose_the_form(tmp_path):
    (points,), notes = read(tmp_path, "loss,params,tokens\n3,1e6,2e7\n2.5,2e6,4e7\n")
    assert points.form is LOSS_OF_SIZE_AND_TOKENS
    assert points.family is None
    assert not notes
    (points,), _ = read(tmp_path, "flops,loss\n1e18,3\n")
    assert points.form is LOSS_OF_COMPUTE


def test_tokens_come_from_flops_where_there_are_none(tmp_path):
    (points,), notes = read(tmp_path, "params,flops,loss\n1e6,6e14,3\n")
    assert points.tokens == pytest.approx([1e8])
    assert "flops / (6 params)" in notes[0]


def test_flops_beside_tokens_tell_the_flops_per_parameter_and_token(tmp_path):
    (points,), _ = read(tmp_path, "params,tokens,flops,loss\n1e6,1e8,7e14,3\n2e6,1e8,14e14,2.9\n")
    assert points.flops_per_param_token == pytest.approx(7.0)


def test_families_are_kept_apart_and_other_columns_are_named(tmp_path):
    families, notes = read(tmp_path, "family,params,tokens,loss,lr\nb,1,2,3,x\na,1,3,2,y\nb,2,2,2,z\n")
    assert {points.family: len(points) for points in families} == {"a": 1, "b": 2}
    assert notes == ["columns ignored: lr"]


def test_a_byte_order_mark_blank_lines_and_spaces_do_no_harm(tmp_path):
    (points,), _ = read(tmp_path, "\ufeffparams, tokens , loss\n\n1, 2,3\n , ,\n")
    assert np.array_equal(points.loss, [3.0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("params,tokens,loss\n", "no rows"),
        ("params,tokens\n1,2\n", "no column loss; it has params, tokens"),
        ("Loss,params,tokens\n1,2,3\n", "Did you mean 'Loss'"),
        ("params,loss\n1,2\n", "params and tokens, params and flops, or flops; it has params, loss"),
        ("loss,loss,flops\n1,2,3\n", "loss more than once"),
        ("params,tokens,loss\n1,2,3\n1,x,3\n", "line 3: tokens is 'x', which is not a number"),
        ("params,tokens,loss\n1,,3\n", "line 2: tokens is an empty cell"),
        ("params,tokens,loss\n1,2,nan\n", "line 2: loss is nan; it must be a finite number above 0"),
        ("params,tokens,loss\n1,2,inf\n", "finite number above 0"),
        ("params,tokens,loss\n1,1e999,2\n", "finite number above 0"),
        ("params,tokens,loss\n0,2,3\n", "params is 0; it must be"),
        ("params,tokens,loss\n1,-2,3\n", "tokens is -2; it must be"),
        ("params,tokens,loss\n1,2\n", "line 2 has 2 cells, and the header has 3"),
        ("params,tokens,loss,seed\n1,2,3,0\n2,2,3,0\n1,2,2.9,0\n", "lines 2 and 4 are the same configuration"),
        ("flops,loss,seed\n1,3,0\n1,2.9,0\n", "lines 2 and 3 are the same configuration"),
        ("family,flops,loss\n,1,3\n", "empty family"),
        ("family,flops,loss\ncomparison,1,3\n", "cannot be called 'comparison'"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, text, said):
    with pytest.raises(RecordError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_no_text_is_said(tmp_path):
    with pytest.raises(RecordError, match="does not exist"):
        read_points(tmp_path / "none.csv")
    with pytest.raises(RecordError, match="is a folder"):
        read_points(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00loss")
    with pytest.raises(RecordError, match="cannot be read"):
        read_points(tmp_path / "binary.csv")


def test_repeats_without_seeds_are_allowed(tmp_path):
    (points,), _ = read(tmp_path, "params,tokens,loss\n1,2,3\n1,2,3\n")
    assert (len(points), points.num_configurations) == (2, 1)
