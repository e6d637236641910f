"""Quality by tasks of lm-evaluation-harness: a folder of the user's YAML and data files, offline, outside every window.

The library (`lm_eval`, extra ``quality``) is optional and imported when tasks are asked for. Data files may be named
relative to the folder. Only tasks of the folder are known, so that nothing is fetched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, did_you_mean
from harness.core.records import QualityReading
from harness.core.task_config import TaskConfig
from harness.infer.huggingface.checks import first_line, hide_folder
from harness.infer.huggingface.load import LoadedModel
from harness.tasks.lm_eval_files import identify_lm_eval

# What readings of these tasks are called, so that none is taken for one of our own kinds.
PREFIX = "lm_eval"
SAME_SCORES = "every sample scored the same, so that the library's standard error is 0, which says nothing of others"


def check_lm_eval(task: TaskConfig) -> None:
    """Check that the library is installed and that the folder has every task that is asked for.

    Raises:
        ConfigError: it is not, or it has not.
    """
    if not task.lm_eval:
        return
    if importlib.util.find_spec("lm_eval") is None:
        raise ConfigError("task.lm_eval needs lm-evaluation-harness; type: pip install 'isojoule[quality]'")
    folder = Path(task.lm_eval_dir).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"task.lm_eval_dir '{task.lm_eval_dir}' is no folder; give that of the tasks' YAML files.")
    known = _build_manager(folder).all_tasks
    for name in task.lm_eval:
        if name not in known:
            raise ConfigError(
                f"task.lm_eval names '{name}', which no YAML file of '{folder}' defines; known: "
                f"{', '.join(known) or 'none'}.{did_you_mean(name, known)}"
            )


def judge_by_lm_eval(loaded: LoadedModel, task: TaskConfig) -> list[QualityReading]:
    """Return one reading for each task and metric, with its standard error where the library gives one.

    Of a group or tag that has no number of its own those of its members are returned. A task that fails, or gives none,
    gives a reading without a value and the reason: what was measured before is kept.
    """
    readings = []
    for name in task.lm_eval:
        sha256 = identify_lm_eval(task)
        try:
            read = _read_results(_evaluate(loaded, task, name), name, sha256)
            reason = "the library gave no number for it"
        except Exception as error:  # noqa: BLE001 - whatever a task of the user's raises is its reading's reason
            read, reason = [], f"{type(error).__name__}: {hide_folder(first_line(error), Path(task.lm_eval_dir))}"
        readings += read or [_reading(name, "failed", None, None, 0, sha256, reason=reason)]
    return readings


def _evaluate(loaded: LoadedModel, task: TaskConfig, name: str) -> dict[str, Any]:
    with _offline(), contextlib.chdir(Path(task.lm_eval_dir).expanduser()):
        from lm_eval import simple_evaluate  # noqa: PLC0415 - optional
        from lm_eval.models.huggingface import HFLM  # noqa: PLC0415 - optional

        model = HFLM(
            pretrained=loaded.model, tokenizer=loaded.text.tokenizer, batch_size=task.batch_size, backend="causal"
        )
        results: dict[str, Any] = simple_evaluate(
            model=model,
            tasks=[name],
            task_manager=_build_manager(Path.cwd()),
            log_samples=False,
            apply_chat_template=loaded.text.chat_template,
        )
    return results


def _build_manager(folder: Path) -> Any:
    with _offline():
        from lm_eval.tasks import TaskManager  # noqa: PLC0415 - optional

        return TaskManager(include_path=str(folder), include_defaults=False)


def _read_results(results: dict[str, Any], name: str, sha256: str) -> list[QualityReading]:
    """Return the readings of what was asked for, else those of its members: a tag has none, a group need not."""
    own = _read_task(results, name, sha256)
    return own or [
        reading for each in results["results"] if each != name for reading in _read_task(results, each, sha256)
    ]


def _read_task(results: dict[str, Any], name: str, sha256: str) -> list[QualityReading]:
    """Return the readings of one task; the library names them ``metric,filter`` and ``metric_stderr,filter``."""
    values = results["results"].get(name, {})
    num_samples = int(results.get("n-samples", {}).get(name, {}).get("effective") or values.get("sample_len") or 0)
    better = results.get("higher_is_better", {}).get(name, {})
    readings = []
    for key, value in values.items():
        metric, comma, chosen = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, (int, float)):
            continue
        stderr = values.get(f"{metric}_stderr,{chosen}")
        label = metric if chosen == "none" else f"{metric},{chosen}"
        finite = math.isfinite(value)
        known = finite and isinstance(stderr, (int, float)) and num_samples > 1 and 0 < stderr < math.inf
        readings.append(
            _reading(
                name,
                label,
                float(value) if finite else None,
                float(stderr) if known else None,
                num_samples,
                sha256,
                higher_is_better=better.get(metric) is not False,
                version=_version(results.get("versions", {}).get(name)),
                reason=f"the library gave {value}" if not finite else SAME_SCORES if stderr == 0 else None,
            )
        )
    return readings


def _reading(  # noqa: PLR0917 - the two above call it
    name: str,
    metric: str,
    value: float | None,
    stderr: float | None,
    num_samples: int,
    sha256: str,
    *,
    higher_is_better: bool = True,
    version: int = 1,
    reason: str | None = None,
) -> QualityReading:
    return QualityReading(
        metric=f"{PREFIX}_{metric}",
        value=value,
        stderr=stderr,
        num_samples=num_samples,
        higher_is_better=higher_is_better,
        task=f"{PREFIX}:{name}",
        task_version=version,
        data_sha256=sha256,
        reason=reason,
    )


def _version(given: object) -> int:
    """Return the version that a task's YAML names; one that names none is its first."""
    return int(given) if isinstance(given, (int, float)) else 1


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keep the library and `datasets` from the network, and their notes out of the run's log."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ[name] = "1"  # read when `datasets` is imported, hence before
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
