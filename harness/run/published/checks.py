"""What is checked of a published model and its questions: lengths, settings left out, FLOPs by formula and traced."""

from __future__ import annotations

from harness.core.errors import ConfigError
from harness.core.readings import Finding
from harness.core.records import FlopCount
from harness.core.task_config import KindConfig, TaskConfig
from harness.flops.formulas import CONVENTION, FORMULA_VERSION, TRAIN_FACTOR
from harness.flops.published.count import count_forward_flops
from harness.flops.traced import UnregisteredOpError, trace_flops
from harness.infer.huggingface.engine import HuggingFaceEngine
from harness.infer.huggingface.load import LoadedModel
from harness.infer.huggingface.text import HFText
from harness.run.answering import Asked
from harness.run.judging import FLOP_GAP_LIMIT
from harness.run.outcome import Outcome
from harness.tasks.passes import Prompt

# Settings of a generation configuration that change greedy answers, and the value at which they do nothing.
_PENALTIES = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0}


def check_lengths(text: HFText, task: TaskConfig, asked: Asked) -> None:
    """Check that prompts and answers fit the positions that the model was made for.

    Raises:
        ConfigError: they do not.
    """
    limit = text.max_length
    if limit is None:
        return
    for name, prompts in asked.kinds.items():
        longest = max(len(prompt.ids) for prompt in prompts) + task.kinds[name].max_answer_tokens
        if longest > limit:
            raise ConfigError(
                f"task.kinds.{name} asks for up to {longest} tokens with the answer, and '{text.folder.name}' was made "
                f"for {limit}; {_shorten(name, task.kinds[name])}."
            )
    sweep = task.regimes
    longest = max(sweep.context_lengths, default=0) + max(sweep.answer_lengths, default=0)
    if longest > limit:
        raise ConfigError(
            f"task.regimes asks for up to {longest} tokens with the answer, and '{text.folder.name}' was made for "
            f"{limit}; lower task.regimes.context_lengths."
        )


def _shorten(name: str, kind: KindConfig) -> str:
    """Return what to do about prompts that are too long; those of the user's own file are never cut."""
    if kind.name == "jsonl":
        return f"lower task.kinds.{name}.max_answer_tokens, or leave the longest prompts out of the file"
    return f"lower task.kinds.{name}.context_bytes"


def find_penalties(loaded: LoadedModel) -> list[Finding]:
    """Return a finding where the model's own generation configuration would change greedy answers."""
    own = loaded.model.generation_config
    given = {name: getattr(own, name, None) for name in _PENALTIES}
    set_to = [f"{name}={value}" for name, value in given.items() if value not in (None, _PENALTIES[name])]
    if not set_to:
        return []
    text = (
        f"answers are plain greedy ones; the model's generation configuration sets {', '.join(set_to)}, left out here"
    )
    return [Finding(code="generation_config_left_out", severity="info", text=text)]


def check_steps(engine: HuggingFaceEngine, asked: Asked, outcome: Outcome) -> FlopCount | None:
    """Count a prefill and a decode step of one prompt by formula, trace both, and return the two counts.

    ``None`` where no formula knows the model. Experts that multiply more than the chosen ones (some implementations do)
    show as a gap.
    """
    shape, prompt = engine.steps.shape, list_prompts(asked)[0]
    if shape is None:
        return None
    length = len(prompt.ids)
    costs = (engine.count_prefill(1, length).flops, engine.count_decode(1, length, 1).flops)
    expected = None if None in costs else sum(cost for cost in costs if cost is not None)
    traced: int | None = None
    try:
        traced = trace_flops(lambda: engine.decode(engine.prefill([prompt.ids], 2), 2))
    except UnregisteredOpError as error:
        text = f"the FLOPs of a step were not traced: {error}"
        outcome.findings.append(Finding(code="flops_not_traced", severity="info", text=text))
    gap = (traced - expected) / expected if traced is not None and expected is not None else None
    if gap is not None and abs(gap) > FLOP_GAP_LIMIT:
        text = (
            "the traced FLOPs of a prefill and a decode step differ from the formula's, which counts chosen experts "
            f"only; the experts run by '{engine.loaded.source.experts_implementation}'"
        )
        outcome.findings.append(
            Finding(code="flop_formula_gap", severity="error", text=text, value=gap, limit=FLOP_GAP_LIMIT)
        )
    forward = float(count_forward_flops(shape, length))
    return FlopCount(
        forward_per_token=forward,
        train_per_token=TRAIN_FACTOR * forward,
        formula_version=FORMULA_VERSION,
        convention=CONVENTION,
        formula_total=expected,
        traced_total=traced,
        relative_gap=gap,
    )


def list_prompts(asked: Asked) -> list[Prompt]:
    """Return the prompts of all kinds and of the sweep."""
    return [prompt for prompts in (*asked.kinds.values(), *asked.sweep.values()) for prompt in prompts]
