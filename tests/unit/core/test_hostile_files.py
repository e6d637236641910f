"""Records, studies, answers and settings that somebody else wrote, or damaged: refused in one line, in bounded time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.core.config import RunConfig, config_from_dict, config_to_dict
from harness.core.errors import MAX_MESSAGE_LENGTH, ConfigError, RecordError
from harness.core.plain_json import MAX_DEPTH, PlainJsonError, parse_json, read_bytes
from harness.core.plain_yaml import PlainYamlError, parse_yaml, refuse_growing_aliases
from harness.core.records import RunRecord, record_from_json, record_to_json
from harness.core.store import Store
from harness.core.study import load_study

_RECORD: dict[str, Any] = {
    "schema_version": 3, "run_id": "s-dense-s-1M-s0-0", "study": "s", "role": "single", "arm": "dense", "size": "s",
    "seed": 0, "status": "failed", "started_utc": "2026-11-01T00:00:00Z", "config": {}, "config_hash": "0",
}  # fmt: skip
_BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def _text(**changes: Any) -> str:
    return json.dumps({**_RECORD, **changes})


@pytest.mark.parametrize(
    "run_id", ["../../x", "a/b", "/x", "..", "", ".hidden", "a\x00b", "a\\b", "a\u202eb", "x" * 300]
)
def test_a_run_id_that_leads_out_of_its_folder_is_refused(run_id: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no file name"):
        record_from_json(_text(run_id=run_id), "a.json")
    with pytest.raises(RecordError, match="no file name"):
        Store(tmp_path).answers_path(run_id)


@pytest.mark.parametrize(
    ("name", "good", "bad"), [("compile", True, 1), ("batch_size", 1, 1.0), ("gradient_clip", 1.5, "1.5")]
)
def test_a_section_that_passed_lets_no_other_pass_that_python_calls_equal(name: str, good: Any, bad: Any) -> None:
    assert record_from_json(_text(config={"train": {name: good}}), "a.json").config["train"] == {name: good}
    with pytest.raises(RecordError, match=f"config.train.{name}"):
        record_from_json(_text(config={"train": {name: bad}}), "b.json")


def test_equal_sections_of_records_are_kept_once_and_others_apart() -> None:
    first, again, other = (
        record_from_json(_text(config={"train": {"batch_size": size}, "seed": size}), "a.json").config
        for size in (8, 8, 16)
    )
    assert first["train"] is again["train"]
    assert (first["train"], other["train"]) == ({"batch_size": 8}, {"batch_size": 16})
    assert (first["seed"], other["seed"]) == (8, 16)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 10**30}, {"seed": 10**4000}, {"seed": -(10**30)}, {"seed": 1.5}, {"seed": "1"}, {"seed": True},
        {"mfu": 1e200}, {"mfu": "0.5"}, {"mfu": []}, {"arm": 3}, {"windows": {}}, {"windows": [[]]}, {"extra": 1},
        {"params": {"total": -1, "active": 1, "embedding": 1, "active_non_embedding": 1}},
        {"config": {"train": 5}}, {"config": {"train": {"batch_size": "8"}}}, {"config": {"model": {"d_model": 1.5}}},
        {"config": {"x": 10**30}}, {"config": []}, {"status": "done"},
    ],
    ids=lambda changes: str(changes)[:40],
)  # fmt: skip
def test_a_field_of_another_type_or_out_of_bounds_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=next(iter(changes))) as caught:
        record_from_json(_text(**changes), "a.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= MAX_MESSAGE_LENGTH


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000, "0x10"])
@pytest.mark.parametrize("place", ['"mfu": {}', '"config": {{"x": {}}}', '"config": {{"x": [{}]}}'])
def test_what_is_no_finite_number_is_refused_wherever_it_stands(literal: str, place: str) -> None:
    text = _text()[:-1].replace('"config": {}, ', "" if "config" in place else '"config": {}, ')
    with pytest.raises(RecordError, match=r"a\.json is not a readable run record"):
        record_from_json(f"{text}, {place.format(literal)}}}", "a.json")


def test_of_a_key_that_stands_twice_in_a_record_the_last_counts_as_in_other_readers_of_json() -> None:
    text = _text()[:-1] + ', "seed": 1}'
    assert record_from_json(text, "a.json").seed == json.loads(text)["seed"] == 1


def test_a_study_in_which_a_key_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"study": "a", "study": "b"}')
    with pytest.raises(RecordError):
        load_study(tmp_path)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 150, 100_000])
def test_a_hundred_thousand_brackets_are_refused(depth: int, tmp_path: Path) -> None:
    deep = "[" * depth + "]" * depth
    with pytest.raises(RecordError):
        record_from_json(_text().replace("{}", f'{{"x": {deep}}}'), "a.json")
    with pytest.raises(PlainJsonError, match="nested deeper"):
        parse_json(deep)
    with pytest.raises(PlainYamlError, match=r"nested too deep|deeper"):
        parse_yaml(deep[: 2 * 3000] if depth > 3000 else deep)
    (tmp_path / "study.json").write_text(deep)
    with pytest.raises(RecordError):
        load_study(tmp_path)


def test_control_signs_in_texts_are_kept_for_the_page_to_write_out() -> None:
    record = record_from_json(_text(error="\x1b[31m\u202e"), "a.json")
    assert record.error == "\x1b[31m\u202e"
    assert record_from_json(record_to_json(record), "b.json") == record


def test_a_pipe_a_device_and_a_folder_are_no_files_to_read(tmp_path: Path) -> None:
    (tmp_path / "records" / "folder.json").mkdir(parents=True)
    os.mkfifo(tmp_path / "records" / "pipe.json")
    (tmp_path / "records" / "zero.json").symlink_to("/dev/zero")
    (tmp_path / "records" / "nowhere.json").symlink_to(tmp_path / "gone")
    (tmp_path / "records" / "good.json").write_text(_text())
    records, unreadable = Store(tmp_path).load_records()
    assert [record.run_id for record in records] == [_RECORD["run_id"]]
    assert [line.partition(" ")[0] for line in unreadable] == ["folder.json", "nowhere.json", "pipe.json", "zero.json"]
    with pytest.raises(OSError, match="no plain file"):
        read_bytes(Path("/dev/zero"))


def test_a_file_longer_than_its_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(OSError, match="longer than 1 MiB"):
        read_bytes(path, 2**20)


def test_a_second_file_of_the_same_run_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for name in ("a.json", "b.json"):
        (tmp_path / "records" / name).write_text(_text())
    records, unreadable = Store(tmp_path).load_records()
    assert len(records) == 1
    assert unreadable == [f"b.json is not a readable run record: a.json holds the run '{_RECORD['run_id']}'"]


def test_a_record_under_the_name_of_another_run_is_not_taken_for_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "records").mkdir()
    store.record_path("other").write_text(_text(status="finished"))
    with pytest.raises(RecordError, match="of another run"):
        store.load_record("other")
    assert not store.is_finished("other")


def test_records_come_one_by_one_in_the_order_of_load_records(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for index in range(5):
        (tmp_path / "records" / f"{index}.json").write_text(_text(run_id=f"r{index}") if index != 3 else "{")
    problems: list[str] = []
    iterated: list[RunRecord] = list(Store(tmp_path).iterate_records(problems))
    assert (iterated, problems) == Store(tmp_path).load_records()
    assert len(iterated) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: 1\na: 2", "stands twice"),
        (f"a: {'9' * 5000}", "4300"),
        ("a: 2026-99-99", "month"),
        ("a: &a [*a]", "holds itself"),
        (_BOMB, "aliases"),
        ("a: [", "flow sequence|expected"),
        ("a: \x00", "special characters"),
    ],
)
def test_yaml_that_makes_objects_or_grows_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(PlainYamlError, match=why) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_a_few_lines_of_aliases_that_stand_for_a_billion_values_are_found() -> None:
    with pytest.raises(PlainYamlError, match="aliases"):
        refuse_growing_aliases(_BOMB)
    refuse_growing_aliases("a: &a 1\nb: *a\nc: *a\n")
    refuse_growing_aliases("a: [*b & *c")  # what is no YAML is left to its reader


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("train", "batch_size"), "8", "a whole number"),
        (("train", "batch_size"), 8.5, "a whole number"),
        (("train", "batch_size"), None, "a whole number"),
        (("seed",), 10**30, "64 bits"),
        (("train", "learning_rate"), float("nan"), "finite"),
        (("model",), [], "an object"),
        (("model", "_target_"), "os.system", "_target_"),
        (("task", "kinds"), {"x": {"_target_": "os.system"}}, "no configuration"),
    ],
)
def test_a_job_with_another_type_or_an_unknown_setting_is_refused(path: tuple[str, ...], value: Any, why: str) -> None:
    values = config_to_dict(RunConfig())
    place = values
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ConfigError, match=why):
        config_from_dict(values)


def test_a_message_never_grows_with_the_file() -> None:
    assert len(str(ConfigError("x" * 10**6))) == MAX_MESSAGE_LENGTH
