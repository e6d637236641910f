"""Names from records must not drive the terminal."""

from __future__ import annotations

from harness.cli.command import main
from harness.core.terminal import escape_controls


def test_control_characters_are_written_out():
    assert escape_controls("a\x1b[31mb\x07\x9b\r") == r"a\x1b[31mb\x07\x9b\r"


def test_a_mark_that_turns_the_line_around_is_written_out():
    assert escape_controls("a\u202eb") == r"a\u202eb"


def test_lines_tabs_and_letters_of_any_script_stay():
    text = "eins\n\tzwei é 三"
    assert escape_controls(text) == text


def test_the_command_writes_out_what_a_file_name_hides(capsys):
    assert main(["fit", "points\x1b[2J.csv"]) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert r"points\x1b[2J.csv" in error


def test_halves_of_surrogate_pairs_are_written_out() -> None:
    assert escape_controls("a\ud800b\udcff") == r"a\ud800b\udcff"
