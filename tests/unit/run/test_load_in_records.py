"""Records hold the load of the experts on held-out text and over training, the trunk's part among it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.store import Store
from tests.unit.run.tiny import DENSE, MOE, run_here, tiny_run

TOKENS = 40 * 64


def test_a_sparse_run_has_both_and_a_dense_one_neither(tmp_path: Path) -> None:
    dense, sparse = (run_here(tiny_run(model), Store(tmp_path)) for model in (DENSE, MOE))
    assert (dense.routing, dense.training_routing) == (None, None)
    assert sparse.routing is not None
    assert sparse.training_routing is not None
    assert sparse.training_routing.num_tokens == TOKENS
    assert sparse.training_routing.mean_step_violation is not None
    assert sparse.routing.mean_step_violation is None
    codes = {finding.code for finding in sparse.findings}
    assert ("dead_experts_in_training" in codes) == (sparse.training_routing.num_dead_experts > 0)


def test_a_branch_counts_its_trunk_and_says_where_that_did_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trunk = run_here(tiny_run(MOE, role="trunk", branch_tokens=[TOKENS]), store)
    assert trunk.routing is None
    assert trunk.training_routing is not None
    assert trunk.training_routing.num_tokens == TOKENS * 0.8
    config = tiny_run(MOE, role="branch", trunk_id=trunk.run_id)
    branch = run_here(config, store)
    whole = run_here(tiny_run(MOE), store)
    assert branch.training_routing == whole.training_routing
    (state,) = store.checkpoint_dir(trunk.run_id).glob("*/state.json")
    saved = json.loads(state.read_text())
    del saved["load"], saved["state_sha256"], saved["tensors_sha256"]
    state.write_text(json.dumps(saved))
    older = run_here(config, store)
    assert older.training_routing is None
    assert "training_load_unknown" in {finding.code for finding in older.findings}
    assert older.quality_value("validation_bits_per_byte") == pytest.approx(
        branch.quality_value("validation_bits_per_byte"), abs=0
    )
