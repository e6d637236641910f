"""Executes one run of a published model, as it is: from a folder to one immutable record; nothing is trained.

Order: tokenizer and questions, idle window before the model is loaded, the model (counts checked, whom the routers
choose), warm-up, idle window with everything resident (the baseline of net energy), answering windows, idle again; at
last, outside every window, tasks of lm-evaluation-harness where they are asked for.
"""

from __future__ import annotations

import dataclasses
import shutil
from importlib import metadata

import torch

from harness.core.clock import utc_label
from harness.core.config import RunConfig, validate_run
from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.core.records import Environment, Finding, FlopCount, RunRecord, WindowRecord, Work
from harness.core.store import Store
from harness.core.task_config import KindConfig, TaskConfig
from harness.data import prepare_data
from harness.flops.formulas import CONVENTION, FORMULA_VERSION, TRAIN_FACTOR
from harness.flops.published.count import count_forward_flops
from harness.flops.traced import UnregisteredOpError, trace_flops
from harness.infer.hf_load import LoadedModel, load_model
from harness.infer.hf_text import HFText, load_text
from harness.infer.huggingface import HuggingFaceEngine
from harness.measure import Meter, check_idle_drift, measure_idle
from harness.run.answering import Asked, answer_all, build_asked
from harness.run.device import peak_memory_bytes, prepare_device, synchroniser
from harness.run.environment import describe_environment
from harness.run.hf_routing import record_routing
from harness.run.identity import identify_run, needs_corpus
from harness.run.judging import FLOP_GAP_LIMIT
from harness.run.lm_eval_tasks import check_lm_eval, judge_by_lm_eval
from harness.run.outcome import Outcome
from harness.run.outline import begin_record
from harness.run.peak import bandwidth_of, peak_of
from harness.run.pretrain import Emit
from harness.tasks.kinds.kind import Encode
from harness.tasks.passes import Prompt
from harness.tasks.questions import Question
from harness.tasks.suite import check_suite, cut_prompt

_PACKAGES = ("transformers", "accelerate", "safetensors", "lm_eval")
_WARMUP_TOKENS = 4
# Settings of a generation configuration that change greedy answers, and the value at which they do nothing.
_PENALTIES = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0}


def execute_published(config: RunConfig, store: Store, emit: Emit) -> RunRecord:
    """Answer with the model of `config.model`, write record, answers and power trace to `store`; return the record.

    Raises:
        HarnessError: a configuration, model, corpus or sensor that cannot be used; nothing is written.
    """
    validate_run(config)
    check_suite(config.task)
    check_lm_eval(config.task)
    if not isinstance(config.model, HuggingFaceConfig):
        raise ConfigError(f"model.family is '{config.model.family}'; a published model is model=hf model.path=FOLDER.")
    written, config = config, dataclasses.replace(config, task=_resolve_task(config.task))
    started = utc_label()
    device = prepare_device(config)
    emit({"event": "phase", "phase": "data"})
    data = prepare_data(config.data) if needs_corpus(written) else None
    run_id, config_hash = identify_run(written, data.info.sha256 if data is not None else "")
    text = load_text(config.model)
    asked = build_asked(config.task, data.test_documents if data is not None else (), text.encode, _fit_bytes)
    _check_lengths(text, config.task, asked)
    outcome = Outcome()
    samples = store.samples_dir(run_id)
    with Meter(config.measure, folder=samples) as meter:
        outcome.windows.append(measure_idle(meter, config.measure.idle_s, "idle_before").to_record())
        emit({"event": "phase", "phase": "model"})
        loaded = load_model(config.model, device, text)
        engine = HuggingFaceEngine(loaded)
        outcome.findings.extend([*engine.steps.findings, *_find_penalties(loaded)])
        peak = peak_of(engine.device, _product_dtype(loaded))
        flops = check_steps(engine, asked, outcome)
        emit({"event": "phase", "phase": "routing"})
        record_routing(config, engine, asked, outcome)
        outcome.windows.append(warm_up(engine, asked, config.task, meter))
        resident = measure_idle(meter, config.measure.idle_s, "idle_resident", sync=synchroniser(engine.device))
        meter.set_idle(resident)  # the baseline of net energy: everything is loaded, nothing runs
        outcome.windows.append(resident.to_record())

        def on_kind(name: str) -> None:
            engine.coverage = {c.batch_size: c.measured for c in outcome.expert_coverage if c.kind == name}

        answer_all(config, engine, asked, meter, outcome, emit, on_kind=on_kind)
        after = measure_idle(meter, config.measure.idle_s, "idle_after")
        outcome.windows.append(after.to_record())
        outcome.findings.extend(check_idle_drift(resident, after))
        sensors = tuple(meter.sensors)
        outcome.findings.extend(meter.findings)
        trace = meter.trace() if config.measure.trace else None
    if config.task.lm_eval:
        emit({"event": "phase", "phase": "lm_eval"})
        outcome.quality.extend(judge_by_lm_eval(loaded, config.task))
    bandwidth = bandwidth_of(engine.device)
    record = dataclasses.replace(
        begin_record(written, run_id, config_hash, started),
        environment=_with_packages(describe_environment(device)),
        sensors=sensors,
        data=data.info if data is not None else None,
        params=engine.steps.params,
        flops=flops,
        windows=tuple(outcome.windows),
        quality=tuple(outcome.quality),
        peak_flops_per_s=peak.flops_per_s,
        peak_source=peak.source,
        peak_bytes_per_s=bandwidth.bytes_per_s,
        peak_bytes_source=bandwidth.source,
        task_routing=tuple(outcome.task_routing),
        expert_coverage=tuple(outcome.expert_coverage),
        model_source=loaded.source,
        findings=tuple(outcome.findings),
    )
    if trace is not None:
        store.write_trace(run_id, trace)
    store.write_answers(run_id, outcome.answers)
    store.write_record(record)
    shutil.rmtree(samples, ignore_errors=True)  # the record and its trace hold what they say; a crash leaves them
    return record


def check_steps(engine: HuggingFaceEngine, asked: Asked, outcome: Outcome) -> FlopCount | None:
    """Count a prefill and a decode step of one prompt by formula, trace both, and return the two counts.

    ``None`` where no formula knows the model. Experts that multiply more than the chosen ones (some implementations do)
    show as a gap.
    """
    shape, prompt = engine.steps.shape, _all_prompts(asked)[0]
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


def warm_up(engine: HuggingFaceEngine, asked: Asked, task: TaskConfig, meter: Meter) -> WindowRecord:
    """Measure a first prefill and a few decode steps, which allocate memory and choose kernels."""
    prompts = _all_prompts(asked)[: task.batch_size]
    with meter.window("warmup", repetition=0, sync=synchroniser(engine.device)) as window:
        engine.decode(engine.prefill([prompt.ids for prompt in prompts], _WARMUP_TOKENS), _WARMUP_TOKENS)
    num_inputs, num_outputs = sum(len(prompt.ids) for prompt in prompts), _WARMUP_TOKENS * len(prompts)
    work = Work(
        unit="token", amount=num_inputs + num_outputs, num_input_tokens=num_inputs, num_output_tokens=num_outputs
    )
    return window.to_record(work=work, peak_memory_bytes=peak_memory_bytes(engine.device))


def _resolve_task(task: TaskConfig) -> TaskConfig:
    """Return the task with kinds: line completion as a kind of its own where none are given."""
    if not task.answer:
        raise ConfigError("task.answer is false, and nothing is trained: set task.answer=true, or pick another model.")
    if task.kinds:
        return task
    line = KindConfig(name="line_completion", num_examples=task.num_examples, max_answer_tokens=task.max_answer_tokens)
    return dataclasses.replace(task, kinds={line.name: line})


def _fit_bytes(encode: Encode, question: Question, kind: KindConfig) -> list[int]:
    """Return the tokens of as much of a prompt as every tokenizer sees: its last `context_bytes` bytes."""
    return encode(cut_prompt(question, kind.context_bytes))


def _check_lengths(text: HFText, task: TaskConfig, asked: Asked) -> None:
    limit = text.max_length
    if limit is None:
        return
    for name, prompts in asked.kinds.items():
        longest = max(len(prompt.ids) for prompt in prompts) + task.kinds[name].max_answer_tokens
        if longest > limit:
            raise ConfigError(
                f"task.kinds.{name} asks for up to {longest} tokens with the answer, and '{text.folder.name}' was made "
                f"for {limit}; lower task.kinds.{name}.context_bytes."
            )
    sweep = task.regimes
    longest = max(sweep.context_lengths, default=0) + max(sweep.answer_lengths, default=0)
    if longest > limit:
        raise ConfigError(
            f"task.regimes asks for up to {longest} tokens with the answer, and '{text.folder.name}' was made for "
            f"{limit}; lower task.regimes.context_lengths."
        )


def _find_penalties(loaded: LoadedModel) -> list[Finding]:
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


def _all_prompts(asked: Asked) -> list[Prompt]:
    return [prompt for prompts in (*asked.kinds.values(), *asked.sweep.values()) for prompt in prompts]


def _product_dtype(loaded: LoadedModel) -> torch.dtype | None:
    """Return what products are computed in, as `peak_of` asks for it; ``None``: fp32."""
    return None if loaded.model.dtype == torch.float32 else torch.bfloat16


def _with_packages(environment: Environment) -> Environment:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dataclasses.replace(environment, packages={**environment.packages, **found})
