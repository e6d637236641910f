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
from harness.core.provenance import Environment
from harness.core.records import RunRecord, WindowRecord, Work
from harness.core.store import Store
from harness.core.task_config import KindConfig, TaskConfig
from harness.data import Dataset, prepare_data
from harness.infer.huggingface.checks import check_dtype
from harness.infer.huggingface.engine import HuggingFaceEngine
from harness.infer.huggingface.load import LoadedModel, load_model
from harness.infer.huggingface.text import HFText, load_text
from harness.measure import Meter, check_idle_drift, measure_idle
from harness.run.answering import Asked, answer_all, build_asked
from harness.run.conditions import add_conditions
from harness.run.contention import WatchedMeter
from harness.run.device import peak_memory_bytes, prepare_device, resolve_device, synchroniser
from harness.run.environment import describe_environment
from harness.run.identity import identify_run, needs_corpus
from harness.run.outcome import Outcome
from harness.run.outline import begin_record
from harness.run.peak import bandwidth_of, peak_of
from harness.run.pretrain import Emit
from harness.run.published.checks import check_lengths, check_steps, find_penalties, list_prompts
from harness.run.published.lm_eval import check_lm_eval, judge_by_lm_eval
from harness.run.published.routing import record_routing
from harness.tasks.kinds.kind import Encode
from harness.tasks.questions import Question
from harness.tasks.suite import check_suite, cut_prompt

_PACKAGES = ("transformers", "accelerate", "safetensors", "lm_eval")
_WARMUP_TOKENS = 4


def execute_published(config: RunConfig, store: Store, emit: Emit) -> RunRecord:
    """Answer with the model of `config.model`, write record, answers and power trace to `store`; return the record.

    Raises:
        HarnessError: a configuration, model, corpus or sensor that cannot be used; nothing is written.
    """
    written, model_config = config, check_published(config)
    config = dataclasses.replace(config, task=_resolve_task(config.task))
    started = utc_label()
    device = prepare_device(config)
    emit({"event": "phase", "phase": "data"})
    data, text, asked = prepare_questions(written, model_config)
    run_id, config_hash = identify_run(written, data.identity_sha256 if data is not None else "")
    outcome = Outcome()
    samples = store.samples_dir(run_id)
    with WatchedMeter(config.measure, folder=samples) as meter:
        outcome.windows.append(measure_idle(meter, config.measure.idle_s, "idle_before").to_record())
        emit({"event": "phase", "phase": "model"})
        loaded = load_model(model_config, device, text)
        engine = HuggingFaceEngine(loaded)
        outcome.findings.extend([*engine.steps.findings, *find_penalties(loaded)])
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
        outcome.findings.extend([*meter.findings, *meter.cpu_use.find_contention(is_cpu=device.type == "cpu")])
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
    record = add_conditions(record)
    if trace is not None:
        store.write_trace(run_id, trace)
    store.write_answers(run_id, outcome.answers)
    store.write_record(record)
    shutil.rmtree(samples, ignore_errors=True)  # the record and its trace hold what they say; a crash leaves them
    return record


def check_published(config: RunConfig) -> HuggingFaceConfig:
    """Check what a run of a published model asks for, without its folder; return the model's configuration.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    validate_run(config)
    check_suite(config.task)
    check_lm_eval(config.task)
    if not isinstance(config.model, HuggingFaceConfig):
        raise ConfigError(f"model.family is '{config.model.family}'; a published model is model=hf model.path=FOLDER.")
    return config.model


def prepare_questions(config: RunConfig, model: HuggingFaceConfig) -> tuple[Dataset | None, HFText, Asked]:
    """Return the corpus (``None`` where none is used), the model's text, and all that is asked, encoded.

    Raises:
        HarnessError: a folder, corpus or kind that cannot be used, or prompts that are too long for the model.
    """
    task = _resolve_task(config.task)
    data = prepare_data(config.data) if needs_corpus(config) else None
    text = load_text(model)
    on_cpu = not model.device_map and resolve_device(config.device).type == "cpu"
    check_dtype(model, text.folder, on_cpu=on_cpu)
    asked = build_asked(task, data.test_documents if data is not None else (), text.encode, _fit_bytes)
    check_lengths(text, task, asked)
    return data, text, asked


def warm_up(engine: HuggingFaceEngine, asked: Asked, task: TaskConfig, meter: Meter) -> WindowRecord:
    """Measure a first prefill and a few decode steps, which allocate memory and choose kernels."""
    prompts = list_prompts(asked)[: task.batch_size]
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
