"""Answering in measured windows after training, or without any: task kinds, the sweep of regimes, and their findings.

Engine-agnostic but for `answer_own`: whoever has an `AnswerEngine` builds its prompts with `build_asked`, before
anything costly, and calls `answer_all`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from harness.core.config import RunConfig
from harness.core.errors import RunFailedError
from harness.core.inference import Regime, name_regime
from harness.core.model_config import MoEConfig
from harness.core.readings import Finding
from harness.core.records import QualityReading
from harness.core.task_config import KindConfig, TaskConfig
from harness.data import Dataset
from harness.measure import Meter
from harness.models.transformer import Transformer
from harness.run.outcome import Outcome
from harness.run.pretrain import Emit
from harness.run.windows import InferenceWindows
from harness.tasks.answer import Answers, AnswerSettings, answer_questions, judge_answers
from harness.tasks.engine import AnswerEngine
from harness.tasks.kinds.kind import Encode
from harness.tasks.line_completion import TASK_NAME, TASK_VERSION
from harness.tasks.own_engine import OwnEngine
from harness.tasks.passes import Prompt, split_batches
from harness.tasks.questions import Question
from harness.tasks.routing import describe_routing, measure_coverage, measure_mixed, record_choices
from harness.tasks.suite import build_suite, encode_prompt
from harness.tasks.sweep import SWEEP, build_line_prompts, build_sweep_prompts, sweep_regimes

# Turns as much of a question's prompt as the engine gets into token ids.
Fit = Callable[[Encode, Question, KindConfig], list[int]]
# Told which kind, or ``sweep``, is measured next.
OnKind = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a run asks: questions of each kind, prompts of the sweep by context length, or lines on their own."""

    kinds: Mapping[str, tuple[Prompt, ...]] = field(default_factory=dict)
    sweep: Mapping[int, tuple[Prompt, ...]] = field(default_factory=dict)
    lines: tuple[Prompt, ...] = ()


def build_asked(
    task: TaskConfig, documents: Sequence[tuple[str, str]], encode: Encode, fit: Fit | None = None
) -> Asked:
    """Return what is asked, encoded. Nothing of it depends on the model but its tokenizer.

    `fit` turns as much of a prompt as the engine gets into token ids; without one it gets the last `context_length`
    tokens, as engines of ours do, and line completions are chosen so that they fill those.

    Raises:
        ConfigError, DataError: a kind or a sweep asks for more than the held-out text has.
    """
    if not task.answer:
        return Asked()
    sweep = build_sweep_prompts(task.regimes, documents, encode)
    if not task.kinds:
        lines = build_line_prompts(documents, encode, num_prompts=task.num_examples, context_length=task.context_length)
        return Asked(lines=lines, sweep=sweep)
    suite = build_suite(task.kinds, documents, encode if fit is None else None)
    fit = fit or _fit_tokens
    kinds = {
        name: tuple(Prompt(question, tuple(fit(encode, question, task.kinds[name]))) for question in questions)
        for name, questions in suite.items()
    }
    return Asked(kinds=kinds, sweep=sweep)


def answer_all(  # noqa: PLR0917 - two runners call it, once each
    config: RunConfig,
    engine: AnswerEngine,
    asked: Asked,
    meter: Meter,
    outcome: Outcome,
    emit: Emit,
    *,
    lines_sha256: str | None = None,
    on_kind: OnKind = lambda _: None,
) -> None:
    """Answer all that is `asked` in windows of `meter`, then sweep; windows, rows, qualities go to `outcome`.

    `lines_sha256` names the data of line completion on its own; `on_kind` is told before the windows of each kind.

    Raises:
        RunFailedError: a device's memory does not hold the caches of all questions of a kind.
    """
    task = config.task
    windows = InferenceWindows(meter, engine.device)
    if asked.lines:
        emit({"event": "phase", "phase": "answer"})
        settings = AnswerSettings(None, task.batch_size, task.max_answer_tokens, min_window_s=task.min_window_s)
        answers = answer_questions(engine, asked.lines, settings, windows.open)
        quality = judge_answers(answers, asked.lines, task=TASK_NAME, task_version=TASK_VERSION)
        sha256 = lines_sha256 or quality.data_sha256
        _keep(outcome, answers, dataclasses.replace(quality, data_sha256=sha256, chance=None))
    for name, prompts in asked.kinds.items():
        emit({"event": "phase", "phase": f"answer {name}"})
        on_kind(name)
        kind = task.kinds[name]
        settings = AnswerSettings(
            name,
            task.batch_size,
            kind.max_answer_tokens,
            repetitions=task.repetitions,
            min_window_s=task.min_window_s,
            free=task.regimes.free_answers,
        )
        with _explain_memory(name, len(prompts)):
            answers = answer_questions(engine, prompts, settings, windows.open)
        _keep(outcome, answers, judge_answers(answers, prompts, task=name, task_version=kind.version))

    def on_regime(regime: Regime, done: int, total: int) -> None:
        emit({"event": "phase", "phase": f"sweep {done + 1}/{total} ({name_regime(regime)})"})

    if asked.sweep:
        on_kind(SWEEP)
        too_large = sweep_regimes(
            engine, asked.sweep, task.regimes, windows.open, seed=config.seed, on_regime=on_regime
        )
        outcome.findings.extend(_find_too_large(too_large))
    outcome.windows.extend(windows.records)
    outcome.findings.extend(windows.findings)


def _find_too_large(regimes: Sequence[Regime]) -> list[Finding]:
    """Return a finding that names the regimes of the sweep which the device's memory did not hold."""
    if not regimes:
        return []
    listed = "; ".join(name_regime(regime) for regime in regimes)
    text = f"the device's memory does not hold these regimes, which are left out: {listed}"
    return [Finding(code="regime_out_of_memory", severity="warning", text=text, value=len(regimes), limit=0)]


def answer_own(  # noqa: PLR0917 - the runner calls it, once
    config: RunConfig, model: Transformer, data: Dataset, asked: Asked, meter: Meter, outcome: Outcome, emit: Emit
) -> None:
    """Answer with a model of ours. Routings of experts are recorded before, outside every window.

    Bytes of decode steps then count the experts that steps of the same kind and batch size touched.
    """
    engine = OwnEngine(model, data.tokenizer)
    _record_routing(config, engine, asked, outcome, emit)
    outcome.findings.extend(find_long_prompts(asked, config.task, config.train.context_length))

    def on_kind(name: str) -> None:
        engine.coverage = {c.batch_size: c.measured for c in outcome.expert_coverage if c.kind == name}

    answer_all(config, engine, asked, meter, outcome, emit, lines_sha256=data.info.sha256, on_kind=on_kind)


def find_long_prompts(asked: Asked, task: TaskConfig, trained_length: int) -> list[Finding]:
    """Return a finding for each kind, and the sweep, whose prompt and answer exceed what the model was trained on.

    Rotary positions have no limit, so such work can be done and measured; what is answered there means little.
    """
    lengths = {
        name: max(len(prompt.ids) for prompt in prompts) + task.kinds[name].max_answer_tokens
        for name, prompts in asked.kinds.items()
    }
    if asked.sweep:
        lengths[SWEEP] = max(asked.sweep) + max(task.regimes.answer_lengths)
    text = "prompt and answer are longer than the contexts of training: energy and time hold, answers mean little"
    return [
        Finding(
            code="context_beyond_training",
            severity="info" if name == SWEEP else "warning",
            text=f"{name}: {text}",
            value=length,
            limit=trained_length,
        )
        for name, length in lengths.items()
        if length > trained_length
    ]


def _record_routing(config: RunConfig, engine: OwnEngine, asked: Asked, outcome: Outcome, emit: Emit) -> None:
    """Add the routing of each kind, and the experts that decode steps touched; a dense model has neither."""
    model_config, task = engine.model.config, config.task
    if not isinstance(model_config, MoEConfig) or not (asked.kinds or asked.sweep):
        return
    emit({"event": "phase", "phase": "routing"})
    kinds = {
        name: record_choices(engine, prompts, task.kinds[name].max_answer_tokens, task.batch_size)
        for name, prompts in asked.kinds.items()
    }
    outcome.task_routing.extend(describe_routing(name, choices, model_config) for name, choices in kinds.items())
    decode = {name: choices.decode_QLSk for name, choices in kinds.items()}
    if asked.sweep:
        longest = asked.sweep[max(asked.sweep)]
        choices = record_choices(engine, longest, max(task.regimes.answer_lengths), task.batch_size)
        decode[SWEEP] = choices.decode_QLSk
    for name, steps in decode.items():
        sizes = task.regimes.batch_sizes if name == SWEEP else _batch_sizes(asked.kinds[name], task.batch_size)
        outcome.expert_coverage.extend(measure_coverage(name, steps, model_config, sizes, seed=config.seed))
    outcome.expert_coverage.extend(measure_mixed(kinds, model_config, config.seed))


@contextmanager
def _explain_memory(name: str, num_questions: int) -> Iterator[None]:
    """Say what to do where memory ends: the caches of all questions of a kind are kept while they are decoded."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise RunFailedError(
            f"the device's memory does not hold the caches of the {num_questions} questions of task.kinds.{name}, "
            f"which are all kept for decoding; lower task.kinds.{name}.num_examples, or take a larger device."
        ) from error


def _batch_sizes(prompts: Sequence[Prompt], batch_size: int) -> set[int]:
    """Return the sizes of the batches that prompts are really answered in."""
    return {len(batch) for batch in split_batches(prompts, batch_size, equal_lengths=True)}


def _keep(outcome: Outcome, answers: Answers, quality: QualityReading) -> None:
    outcome.answers.extend(answers.results)
    outcome.findings.extend(answers.findings)
    outcome.quality.append(quality)


def _fit_tokens(encode: Encode, question: Question, kind: KindConfig) -> list[int]:
    return encode_prompt(encode, question, kind.context_length)
