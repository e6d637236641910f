"""What a run is called and what its record keeps of its configuration: no folder, no other machine.

A run id holds a hash over all that decides the run, so that a finished one is found again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from harness.core.config import RunConfig, config_to_dict, is_inference
from harness.core.model_config import name_model
from harness.core.parallel import ParallelConfig
from harness.core.task_config import RegimeConfig, ServerConfig, hide_host, name_served

CONFIG_HASH_LENGTH = 8
# Where and how often a run reports changes nothing that it computes, so it is not part of the run's identity.
_NOT_IDENTITY = ("plan_position",)
# Where a model, a server or a file of questions stands says nothing of what it is: an id holds their contents or names,
# and a record the last part of a path.
_FOLDERS = ("path", "dense", "moe")
_ADDRESSES = ("base_url", "dense", "moe", "dense_model", "moe_model", "api_key_env")
_PLACES = {"model": _FOLDERS, "server": _ADDRESSES, "task": ("lm_eval_dir",), "data": ("tokenizer_path",)}
# How a corpus is read and checked changes no token of it.
_HOW_READ = ("streaming", "num_workers", "verify")
_SERVED_NAMES = ("model", "dense_model", "moe_model")
# Fields that came after run ids were published, and the value that does what was done before: there they leave an id as
# it was.
ADDED_LATER: dict[tuple[str, ...], Any] = {
    ("save_model",): False,
    ("server",): dataclasses.asdict(ServerConfig()),
    ("task", "mode"): "engine",
    ("task", "repetitions"): 1,
    ("task", "kinds"): {},
    ("task", "regimes"): dataclasses.asdict(RegimeConfig()),
    ("task", "lm_eval"): [],
    ("task", "lm_eval_dir"): "",
    ("data", "kinds"): {},
    ("data", "kinds_share"): 0.0,
    ("data", "max_documents"): 0,
    ("data", "name"): "",
    ("data", "config"): "",
    ("data", "split"): "train",
    ("data", "validation_split"): "",
    ("data", "test_split"): "",
    ("data", "text_field"): "text",
    ("data", "revision"): "",
    ("data", "tokenizer_path"): "",
    ("model", "mtp_normed"): False,
    ("train", "micro_batch_size"): 0,
    ("parallel",): {key: value for key, value in dataclasses.asdict(ParallelConfig()).items() if key != "timeout_s"},
}


def config_without_places(config: RunConfig) -> dict[str, Any]:
    """Return `config_to_dict` with the last part of each path of a model or of a file of questions only.

    Of a server's address only one of this machine itself (a loopback address) is kept.
    """
    values = config_to_dict(config)
    for part, names in (("model", _FOLDERS), ("task", _PLACES["task"]), ("data", _PLACES["data"])):
        values[part].update({name: name_model(values[part][name]) for name in names if values[part].get(name)})
    for options in _options_with_path(values):
        options["path"] = str(options["path"]).replace("\\", "/").rstrip("/").rpartition("/")[2]
    server = values["server"]
    for name in ("base_url", "dense", "moe"):
        server[name] = hide_host(server[name])
    for name in _SERVED_NAMES:
        server[name] = name_served(server[name])
    return values


def hash_config(config: RunConfig, data_sha256: str, formula_version: int) -> str:
    """Return the SHA-256 over the canonical configuration, the data and the FLOP formulas.

    `data_sha256` covers all that is read: the corpus, the files of questions, the weights of a published model. Where
    they stand, and a server's address, are left out.
    """
    identity = {key: value for key, value in config_to_dict(config).items() if key not in _NOT_IDENTITY}
    for part, names in _PLACES.items():
        identity[part].update({name: "" for name in names if name in identity[part]})
    identity["server"]["model"] = name_served(identity["server"]["model"])
    for name in _HOW_READ:
        del identity["data"][name]
    for options in _options_with_path(identity):
        del options["path"]
    del identity["parallel"]["timeout_s"]  # how long is waited changes nothing that is computed
    for (*path, name), before in ADDED_LATER.items():
        section = identity
        for part in path:
            section = section[part]
        if section.get(name) == before:
            del section[name]
    text = json.dumps([identity, data_sha256, formula_version], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _options_with_path(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [kind["options"] for kind in values["task"]["kinds"].values() if "path" in kind["options"]]


def make_run_id(config: RunConfig, config_hash: str) -> str:
    """Return ``<study>-<arm>-<size>-<budget>-s<seed>-<hash>``.

    In place of its budget a trunk says ``trunk``, and a run that trains nothing ``hf`` or ``server``.
    """
    if is_inference(config):
        budget = "server" if config.task.mode == "server" else "hf"
    else:
        budget = "trunk" if config.role == "trunk" else f"{config.train.budget.tokens / 1e6:g}M"
    return "-".join(
        (config.study, config.arm, config.model.size, budget, f"s{config.seed}", config_hash[:CONFIG_HASH_LENGTH])
    )
