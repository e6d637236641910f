"""Answering in measured windows after training, or without any: task kinds, the sweep of regimes, and their findings.

Engine-agnostic but for `answer_own`: whoever has an `AnswerEngine` builds its prompts with `build_asked` and calls
`answer_all`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.core.config import RunConfig
from harness.core.inference import Regime
from harness.core.records import Finding
from harness.core.task_config import KindConfig, TaskConfig
from harness.data import Dataset
from harness.measure import Meter
from harness.models.transformer import Transformer
from harness.run.outcome import Outcome
from harness.run.pretrain import Emit
from harness.run.windows import InferenceWindows, name_regime
from harness.tasks.answer import AnswerSettings, answer_questions, judge_kind
from harness.tasks.engine import AnswerEngine
from harness.tasks.line_completion import TASK_NAME, TASK_VERSION, build_examples
from harness.tasks.own_engine import OwnEngine
from harness.tasks.passes import Prompt
from harness.tasks.questions import Question
from harness.tasks.suite import build_suite, encode_prompt
from harness.tasks.sweep import SWEEP, Encode, Encoder, build_sweep_prompts, question_of, sweep_regimes

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


def fit_tokens(encode: Encode, question: Question, kind: KindConfig) -> list[int]:
    """Return the last `context_length` tokens of a prompt, as engines of ours get it."""
    return encode_prompt(encode, question, kind.context_length)


def build_asked(
    task: TaskConfig, documents: Sequence[tuple[str, str]], encode: Encode, fit: Fit = fit_tokens
) -> Asked:
    """Return what is asked, encoded. Nothing of it depends on the model but its tokenizer.

    Raises:
        ConfigError, DataError: a kind or a sweep asks for more than the held-out text has.
    """
    if not task.answer:
        return Asked()
    sweep = build_sweep_prompts(task.regimes, documents, encode)
    if not task.kinds:
        return Asked(sweep=sweep, lines=_build_lines(task, documents, encode))
    suite = build_suite(task.kinds, documents, encode if fit is fit_tokens else None)
    kinds = {
        name: tuple(Prompt(question, tuple(fit(encode, question, task.kinds[name]))) for question in questions)
        for name, questions in suite.items()
    }
    return Asked(kinds=kinds, sweep=sweep)


def answer_own(
    config: RunConfig, model: Transformer, data: Dataset, asked: Asked, meter: Meter, outcome: Outcome, emit: Emit
) -> None:
    """Answer with a model of ours: windows, rows and qualities go to `outcome`."""
    engine = OwnEngine(model, data.tokenizer)
    outcome.findings.extend(_find_long_contexts(config))
    answer_all(config, engine, asked, meter, outcome, emit, lines_sha256=data.info.sha256)


def answer_all(
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
    """Answer all that is `asked` in windows of `meter`, then sweep; all results go to `outcome`.

    `lines_sha256` names the data of line completion on its own.
    """
    task = config.task
    windows = InferenceWindows(meter, engine.device)
    if asked.lines:
        emit({"event": "phase", "phase": "answer"})
        settings = AnswerSettings(
            kind=None,
            batch_size=task.batch_size,
            num_new_tokens=task.max_answer_tokens,
            min_window_s=task.min_window_s,
        )
        answers = answer_questions(engine, asked.lines, settings, windows.open)
        outcome.answers.extend(answers.results)
        ...
