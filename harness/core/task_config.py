"""Typed configuration of the work with a right or wrong outcome: kinds of tasks, regimes, and a server that answers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from harness.core.errors import ConfigError, did_you_mean
from harness.core.model_config import name_model
from harness.core.settings_types import check_settings, describe_settings

MODES = ("engine", "server")
APIS = ("completions", "chat")
CLOSED_LOOP_CONCURRENCY = 4


@dataclass(kw_only=True)
class KindConfig:
    """One kind of task, from its YAML in ``conf/kind/``: `name` is its registry name, `version` that of its examples.

    `num_examples` held-out examples are asked. An engine of ours gets the last `context_length` tokens of a prompt (0:
    the whole prompt, whatever its length); real models and servers get the last `context_bytes` bytes of it, so that
    all tokenizers see the same text. `max_answer_tokens` is the fixed length of an answer, and the most of a free one.
    `options` belong to the kind (``max_operand`` of arithmetic, ``path`` of jsonl); an unknown one is refused.
    """

    name: str
    version: int = 1
    num_examples: int = 64
    context_length: int = 96
    context_bytes: int = 384
    max_answer_tokens: int = 12
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class RegimeConfig:
    """A sweep of inference over batch, context and answer length, beside the answers of the task kinds.

    Every combination of `batch_sizes`, `context_lengths` and `answer_lengths` is measured `repetitions` times, prefill
    and decode in windows of at least `min_window_s` each; with `whole_window` the same work is measured in one window
    ``generate`` too. `free_answers` adds windows in which answers end where they end. `max_ttft_s` and `max_itl_s` are
    the limits of the view at equal latency: the longest time to the first token, and between tokens. Empty lists: none.
    """

    batch_sizes: list[int] = field(default_factory=list)
    context_lengths: list[int] = field(default_factory=list)
    answer_lengths: list[int] = field(default_factory=list)
    repetitions: int = 3
    min_window_s: float = 1.0
    whole_window: bool = True
    free_answers: bool = False
    max_ttft_s: float | None = None
    max_itl_s: float | None = None


@dataclass(kw_only=True)
class TaskConfig:
    """What is asked after training, or of a model or server that is not trained here.

    Without `kinds`, line completion alone: `num_examples` held-out lines with `context_length` tokens of context. With
    `kinds` (name -> kind) each kind is asked with settings of its own, `repetitions` times, and `num_examples`,
    `context_length` and `max_answer_tokens` of this level are not used. Windows last `min_window_s` at least.
    `mode` is ``engine`` (this process runs the model) or ``server`` (see `ServerConfig`).

    A published model (``model=hf``) is judged as well, outside every window, by the tasks `lm_eval` of
    lm-evaluation-harness whose YAML and data files lie in `lm_eval_dir`.
    """

    answer: bool = True
    version: int = 1
    num_examples: int = 64
    batch_size: int = 32
    context_length: int = 96
    max_answer_tokens: int = 32
    min_window_s: float = 2.0
    mode: str = "engine"
    repetitions: int = 1
    kinds: dict[str, KindConfig] = field(default_factory=dict)
    regimes: RegimeConfig = field(default_factory=RegimeConfig)
    lm_eval: list[str] = field(default_factory=list)
    lm_eval_dir: str = ""


@dataclass(kw_only=True)
class ServerConfig:
    """An OpenAI-compatible server. Closed loop where `request_rate` is null: `concurrency` requests are under way.

    Open loop: `request_rate` requests a second (mean), gaps gamma-distributed with shape `burstiness` (1: Poisson,
    below 1 burstier), at most `concurrency` under way. A `concurrency` of 0 is no limit there, and four in a closed
    loop. `num_requests` 0: every question once. A request has `timeout_s` in all and `max_retries` more tries after
    429, 5xx or a connection that failed before any token; the run has `max_run_s`, warm-up and idle windows counted.
    `num_warmup` requests are made before and not counted. Goodput counts answers within every limit that is given. The
    key is read from the environment variable `api_key_env`. `dense` and `moe` are what ``experiment=pair_serve`` puts
    in place of `base_url`, `dense_model` and `moe_model` in place of `model`. Without a model's name the server's only
    one is asked.
    """

    base_url: str = ""
    model: str = ""
    dense: str = ""
    moe: str = ""
    dense_model: str = ""
    moe_model: str = ""
    api: str = "completions"
    concurrency: int = 0
    request_rate: float | None = None
    burstiness: float = 1.0
    num_requests: int = 0
    num_warmup: int = 2
    timeout_s: float = 60.0
    max_retries: int = 2
    max_run_s: float = 3600.0
    api_key_env: str = ""
    max_ttft_s: float | None = None
    max_tpot_s: float | None = None
    max_e2e_s: float | None = None


def kinds_from_dict(values: dict[str, Any]) -> dict[str, KindConfig]:
    """Rebuild kinds of tasks by name from plain data.

    Raises:
        TypeError: one holds an unknown setting, or none at all.
        ValueError: a setting is of another type.
    """
    known = describe_settings(KindConfig(name=""))
    for name, kind in values.items():
        check_settings(kind, known, f"kinds.{name}", allow_null=False)
    return {name: KindConfig(**kind) for name, kind in values.items()}


def task_config_from_dict(values: dict[str, Any]) -> TaskConfig:
    """Rebuild the task's part of a configuration from plain data."""
    fields = dict(values)
    kinds = kinds_from_dict(fields.pop("kinds", {}))
    regimes = RegimeConfig(**fields.pop("regimes", {}))
    return TaskConfig(kinds=kinds, regimes=regimes, **fields)


def validate_task(task: TaskConfig, server: ServerConfig) -> None:
    """Check what the task and its server ask for.

    Raises:
        ConfigError: the first thing that is wrong, and what would be right.
    """
    _require(
        task.mode in MODES,
        f"task.mode is '{task.mode}'; it is {' or '.join(MODES)}.{did_you_mean(task.mode, MODES)}",
    )
    _positive("task", task, "batch_size", "repetitions", "max_answer_tokens", "num_examples", "context_length")
    for name, kind in task.kinds.items():
        _positive(f"task.kinds.{name}", kind, "num_examples", "max_answer_tokens", "context_bytes")
        _require(
            kind.context_length >= 0, f"task.kinds.{name}.context_length is {kind.context_length}; give 0 or more."
        )
    regimes = task.regimes
    _positive("task.regimes", regimes, "repetitions", "min_window_s")
    sweeps = (regimes.batch_sizes, regimes.context_lengths, regimes.answer_lengths)
    _require(
        all(sweeps) or not any(sweeps),
        "task.regimes needs batch_sizes, context_lengths and answer_lengths together; give all three, or none.",
    )
    for name in ("batch_sizes", "context_lengths", "answer_lengths"):
        values = getattr(regimes, name)
        _require(all(value > 0 for value in values), f"task.regimes.{name} is {values}; each must be above 0.")
        _require(len(set(values)) == len(values), f"task.regimes.{name} is {values}; name each once.")
    _optional("task.regimes", regimes, "max_ttft_s", "max_itl_s")
    _require(
        not task.lm_eval or bool(task.lm_eval_dir),
        "task.lm_eval names tasks and task.lm_eval_dir is empty; give the folder of their YAML and data files.",
    )
    if task.mode == "server":
        _require(task.answer, "task.answer=false leaves a server with nothing to do; leave it out.")
        _require(
            not any(sweeps),
            "task.regimes is for engines; a server is swept by its load: isojoule run -m server.concurrency=1,4,16.",
        )
        _validate_server(server)


def _validate_server(server: ServerConfig) -> None:
    _require(
        _is_address(server.base_url),
        f"server.base_url is '{server.base_url}'; give the server's address, e.g. server.base_url=http://127.0.0.1:8000",
    )
    _require(
        server.api in APIS, f"server.api is '{server.api}'; it is {' or '.join(APIS)}.{did_you_mean(server.api, APIS)}"
    )
    _positive("server", server, "timeout_s", "max_run_s", "burstiness")
    _require(
        "@" not in server.base_url.partition("://")[2].partition("/")[0],
        "server.base_url holds a user or password; put the key into an environment variable and give "
        "server.api_key_env=ITS_NAME (nothing secret is recorded).",
    )
    for name in ("concurrency", "num_requests", "num_warmup", "max_retries"):
        _require(getattr(server, name) >= 0, f"server.{name} is {getattr(server, name)}; give 0 or more.")
    _optional("server", server, "request_rate", "max_ttft_s", "max_tpot_s", "max_e2e_s")


def _is_address(url: str) -> bool:
    """Return whether requests can go to `url`: a scheme and a host, a port that exists, and nothing after the path."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_plain = not any(sign in url for sign in "?# ") and url.isprintable()
    return url.startswith(("http://", "https://")) and bool(parts.hostname) and has_port and is_plain


def count_places(server: ServerConfig) -> int:
    """Return how many requests may be under way at once; 0 is no limit, in an open loop alone."""
    return server.concurrency or (0 if server.request_rate is not None else CLOSED_LOOP_CONCURRENCY)


def name_served(model: str) -> str:
    """Return what a server calls a model, of a path its last part only."""
    is_path = model.startswith(("/", "./", "../", "~")) or "\\" in model
    return name_model(model) if is_path else model


def hide_host(url: str) -> str:
    """Return a server's address where it is this machine's own loopback, else its scheme alone."""
    if not url:
        return url
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if re.fullmatch(r"(127(\.\d+){3}|localhost|\[::1\])(:\d+)?", host):
        return f"{scheme}://{host}"
    return f"{scheme}://(another host)"


def _positive(where: str, config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value > 0, f"{where}.{name} is {value}; it must be above 0.")
        _require(math.isfinite(value), f"{where}.{name} is {value}; give a number.")


def _optional(where: str, config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        finite = value is None or (value > 0 and math.isfinite(value))
        _require(finite, f"{where}.{name} is {value}; give a number above 0, or null.")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
