"""Tables of a store: what stands in the records stands in the tables, the unknown is null, and no cell is a formula."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from harness.core.answers import TaskResult
from harness.core.errors import ConfigError, RecordError
from harness.core.records import RunRecord, record_to_json
from harness.core.store import Store
from harness.exports import source, tables
from harness.exports.formats import export_store
from harness.exports.options import ExportOptions
from harness.exports.tables import neutralise, restore
from harness.exports.task_columns import RESULT_FIELDS
from tests.unit.exports.factory import (
    HOSTILE,
    answer,
    make_record,
    modelled,
    quality,
    reading,
    regime,
    window,
    write_store,
)

A, B = "toy-dense-s-s0-aaa", "toy-moe-s-s0-bbb"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    broken = reading(None, index=1, reason="the counter stood still")
    return write_store(
        tmp_path / "store",
        make_record(
            A,
            windows=(
                window("idle_before", ()),
                window("prefill", (reading(100.0), broken), regime=regime(), tasks=10),
                window("decode", (reading(300.0),), regime=regime(), tasks=5, tokens_out=55),
            ),
            path_energy=(reading(500.0), reading(200.0, index=1), modelled(40.0), modelled(10.0, "dram")),
            qualities=(quality("arithmetic", 0.5), quality("sorting", None)),
        ),
        make_record(B, arm="moe", path_energy=(broken,), error="=out of memory"),
        answers={A: [answer(i, text) for i, text in enumerate(HOSTILE)] + [answer(99, None)], B: [answer(0, "4")]},
    )


def read_parquet(out: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(out / f"{name}.parquet").to_pylist()


def test_parquet_tasks_read_back_into_the_task_results(store: Path, tmp_path: Path) -> None:
    export_store(store, "parquet", tmp_path / "out")
    rows = read_parquet(tmp_path / "out", "tasks")
    back: dict[str, list[TaskResult]] = {A: [], B: []}
    for row in rows:
        back[row["run_id"]].append(TaskResult(**{name: row[name] for name in RESULT_FIELDS}))
    assert back == {run_id: Store(store).load_answers(run_id) for run_id in (A, B)}
    assert set(RESULT_FIELDS) == set(TaskResult.__dataclass_fields__)


def test_small_runs_share_a_row_group_and_large_ones_have_their_own(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_store(store, "parquet", tmp_path / "small")
    assert pq.ParquetFile(tmp_path / "small" / "tasks.parquet").num_row_groups == 1
    monkeypatch.setattr(tables, "ROWS_OF_A_GROUP", 1)
    export_store(store, "parquet", tmp_path / "large")
    groups = pq.ParquetFile(tmp_path / "large" / "tasks.parquet")
    assert [groups.metadata.row_group(i).num_rows for i in range(groups.num_row_groups)] == [len(HOSTILE) + 1, 1]
    assert read_parquet(tmp_path / "small", "tasks") == read_parquet(tmp_path / "large", "tasks")


def test_windows_have_one_row_a_reading_and_one_where_there_is_none(store: Path, tmp_path: Path) -> None:
    export_store(store, "parquet", tmp_path / "out")
    rows = read_parquet(tmp_path / "out", "windows")
    assert [(row["phase"], row["device_index"], row["energy_j"]) for row in rows] == [
        ("idle_before", None, None),
        ("prefill", 0, 100.0),
        ("prefill", 1, None),
        ("decode", 0, 300.0),
    ]
    assert [row["energy_kind"] for row in rows] == [None, "measured", "unknown", "measured"]
    assert rows[2]["energy_reason"] == "the counter stood still"
    assert rows[2]["uncertainty_j"] is None
    assert (rows[3]["regime_kind"], rows[3]["regime_batch_size"], rows[3]["work_num_output_tokens"]) == (
        "arithmetic",
        1,
        55,
    )


def test_runs_sum_the_devices_of_a_domain_and_do_not_sum_the_unknown(store: Path, tmp_path: Path) -> None:
    export_store(store, "parquet", tmp_path / "out")
    first, second = read_parquet(tmp_path / "out", "runs")
    assert (first["path_gpu_energy_j"], first["path_gpu_energy_grade"], first["path_gpu_energy_kind"]) == (
        700.0,
        "A",
        "measured",
    )
    assert (first["path_cpu_energy_j"], first["path_cpu_energy_kind"]) == (40.0, "modelled")
    # One part of the total is only modelled, so the total is not called measured.
    assert (first["path_total_energy_j"], first["path_total_energy_grade"], first["path_total_energy_kind"]) == (
        750.0,
        "C",
        "modelled",
    )
    assert first["path_system_energy_j"] is None
    assert second["path_gpu_energy_j"] is None
    assert "stood still" in second["path_gpu_energy_reason"]
    assert (second["status"], second["error"]) == ("failed", "=out of memory")


def test_runs_have_columns_for_every_quality_reading_of_the_store(store: Path, tmp_path: Path) -> None:
    export_store(store, "parquet", tmp_path / "out")
    first, second = read_parquet(tmp_path / "out", "runs")
    assert (first["quality_arithmetic_exact_match"], first["quality_arithmetic_exact_match_chance"]) == (0.5, 0.1)
    assert first["quality_sorting_exact_match"] is None
    assert first["quality_sorting_exact_match_reason"] == "nothing was asked"
    assert second["quality_arithmetic_exact_match"] is None


def test_names_that_differ_in_signs_alone_get_columns_of_their_own(tmp_path: Path) -> None:
    record = make_record(A, qualities=(quality("my-task", 0.25), quality("my_task", 0.75)))
    export_store(write_store(tmp_path / "store", record), "parquet", tmp_path / "out")
    (row,) = read_parquet(tmp_path / "out", "runs")
    assert row["quality_my_task_exact_match"] == 0.25
    assert row["quality_my_task_exact_match_2"] == 0.75


def read_cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_no_text_cell_of_a_csv_begins_like_a_formula_and_all_restore(store: Path, tmp_path: Path) -> None:
    export_store(store, "csv", tmp_path / "out")
    header, *rows = read_cells(tmp_path / "out" / "tasks.csv")
    answers = [row[header.index("answer")] for row in rows if row[0] == A]
    assert not [cell for cell in answers if re.match(r"[=+\-@\t\r\n\uff1d]", cell)]
    assert [restore(cell) for cell in answers] == [*HOSTILE, ""]
    runs = read_cells(tmp_path / "out" / "runs.csv")
    assert runs[2][runs[0].index("error")] == "'=out of memory"


@pytest.mark.parametrize("text", HOSTILE)
def test_neutralised_texts_restore(text: str) -> None:
    assert restore(neutralise(text) or "") == text


def test_a_csv_tells_an_empty_text_from_the_unknown_and_keeps_every_digit(store: Path, tmp_path: Path) -> None:
    export_store(store, "csv", tmp_path / "out")
    options = pa_csv.ConvertOptions(
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""], column_types={"answer": "string"}
    )
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    rows = pa_csv.read_csv(tmp_path / "out" / "tasks.csv", parse_options=parse, convert_options=options).to_pylist()
    by_index = {row["index"]: row for row in rows if row["run_id"] == A}
    assert by_index[HOSTILE.index("")]["answer"] == ""
    assert by_index[99]["answer"] is None
    assert by_index[99]["energy_j"] is None
    assert by_index[HOSTILE.index("NaN")]["answer"] == "NaN"
    assert by_index[1]["energy_j"] == 0.1 + 0.2
    assert "nan" not in {cell.lower() for cell in (tmp_path / "out" / "runs.csv").read_text().split(",")}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_same_records_give_the_same_bytes(store: Path, tmp_path: Path, kind: str) -> None:
    for out in ("one", "two"):
        export_store(store, kind, tmp_path / out)
    for name in ("tasks", "runs", "windows"):
        assert (tmp_path / "one" / f"{name}.{kind}").read_bytes() == (tmp_path / "two" / f"{name}.{kind}").read_bytes()


def test_one_run_alone_is_exported_where_it_is_named(store: Path, tmp_path: Path) -> None:
    export_store(store, "parquet", tmp_path / "out", ExportOptions(run_id=B))
    assert [row["run_id"] for row in read_parquet(tmp_path / "out", "runs")] == [B]


def test_an_unknown_run_names_the_nearest(store: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=f"Did you mean '{A}'"):
        export_store(store, "csv", tmp_path / "out", ExportOptions(run_id="toy-dense-s-s0-aab"))


def test_a_record_that_cannot_be_read_is_left_out_and_named(store: Path, tmp_path: Path) -> None:
    (store / "records" / "zzz.json").write_text("{}")
    exported = export_store(store, "parquet", tmp_path / "out")
    assert len(read_parquet(tmp_path / "out", "runs")) == 2
    assert [note for note in exported.notes if "zzz.json" in note]


@pytest.mark.parametrize("run_id", ["../../evil", "/evil", "..", "a/b", ""])
def test_a_run_id_that_leads_out_of_a_folder_is_left_out(store: Path, tmp_path: Path, run_id: str) -> None:
    (store / "records" / "zzz.json").write_text(record_to_json(make_record(run_id, path_energy=(reading(1.0),))))
    options = ExportOptions(grams_per_kwh=400.0)
    exported = export_store(store, "model_card", tmp_path / "deep" / "out", options)
    assert [path.name for path in exported.paths] == [f"{A}.md"]
    assert "no file name" in exported.notes[0]


def test_two_files_of_one_run_are_one_clear_line(store: Path, tmp_path: Path) -> None:
    (store / "records" / "copy.json").write_bytes(Store(store).record_path(A).read_bytes())
    with pytest.raises(RecordError, match=f"hold the same run '{A}'"):
        export_store(store, "csv", tmp_path / "out")


def test_a_damaged_answers_file_stops_the_export_and_leaves_no_half_table(store: Path, tmp_path: Path) -> None:
    path = Store(store).answers_path(B)
    path.write_text(path.read_text() + '{"kind": 3}\n')
    with pytest.raises(RecordError, match="line 2 is no task result"):
        export_store(store, "csv", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_store_without_answers_says_so(tmp_path: Path) -> None:
    exported = export_store(write_store(tmp_path / "store", make_record()), "csv", tmp_path / "out")
    assert "kept no answers" in exported.notes[0]
    assert len(read_cells(tmp_path / "out" / "tasks.csv")) == 1


def test_rows_are_in_the_order_of_run_ids_whatever_the_files_are_called(store: Path, tmp_path: Path) -> None:
    Store(store).record_path(B).rename(store / "records" / "aaa.json")
    export_store(store, "parquet", tmp_path / "out")
    assert [row["run_id"] for row in read_parquet(tmp_path / "out", "runs")] == [A, B]


def test_only_one_run_is_in_memory_at_a_time(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    read, build = source.read_record, tables.build_table

    def note_read(path: Path) -> RunRecord:
        order.append("read")
        return read(path)

    def note_build(columns: Any, rows: Any) -> Any:
        order.append("written")
        return build(columns, rows)

    monkeypatch.setattr(source, "read_record", note_read)
    monkeypatch.setattr(tables, "build_table", note_build)
    export_store(store, "parquet", tmp_path / "out")
    assert order[2:6] == ["read", "written", "read", "written"]


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(store: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; this format writes several files"):
        export_store(store, "csv", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
