"""Two studies in one folder are refused; two commands of one study in one folder do every run once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.tiny_study import COMMAND, STUDY, TIMEOUT_S, check_store, read_essence, run, store_in

pytestmark = pytest.mark.faults


def test_another_study_in_the_same_folder_is_refused(undisturbed: Path) -> None:
    before = check_store(store_in(undisturbed))
    for other in ("study=other", "sweep.seeds=[0,1,2]", "sweep.match.num_losses=3"):
        done = run(*STUDY, f"store={store_in(undisturbed).root}", other, cwd=undisturbed)
        assert done.returncode == 2, (other, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert check_store(store_in(undisturbed)) == before


def test_two_commands_at_once_share_the_runs_of_one_study(undisturbed: Path, tmp_path: Path) -> None:
    commands = [
        subprocess.Popen((*COMMAND, *STUDY), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outs = [command.communicate(timeout=TIMEOUT_S * 3) for command in commands]
    assert all("Traceback" not in stderr for _, stderr in outs)
    assert 0 in [command.returncode for command in commands], outs
    store = store_in(tmp_path)
    assert read_essence(store) == read_essence(store_in(undisturbed))
    told = "".join(stderr for _, stderr in outs)
    for record in store.load_records()[0]:
        assert told.count(f"{record.run_id}  finished") == 1, f"{record.run_id} was made once, by one of them: {told}"
