"""The verb ``isojoule project``: energy and compute at full scale from published configs, always grade D."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import EXIT_OK, ConfigError

if TYPE_CHECKING:
    from harness.analysis.projection.assumptions import Assumptions
    from harness.analysis.projection.pairs import Pair
    from harness.analysis.projection.requests import Request
    from harness.analysis.projection.results import Projection
    from harness.analysis.projection.training import TrainingPlan

_ALL = "all"
_FACTORS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def add_project_verb(verbs: Any) -> None:
    """Add ``project`` to the parser."""
    project = verbs.add_parser(
        "project",
        help="project energy and compute of a dense and a sparse-expert model at full scale (a model, grade D)",
        description="Projects from configs: a model (grade D), never a measurement and never a verdict.",
    )
    which = project.add_argument_group("which models: --pair, or --dense and --moe")
    which.add_argument("--pair", metavar="NAME", help=f"a pair of about equal quality (shipped or .yaml), or '{_ALL}'")
    which.add_argument("--dense", metavar="CONFIG", help="config.json, its folder, or a shipped name: qwen3-14b")
    which.add_argument("--moe", metavar="CONFIG", help="the same for the sparse-expert model: qwen3-30b-a3b")
    where = project.add_argument_group("where")
    where.add_argument("--hardware", default="h100", metavar="NAME", help="shipped card or .yaml (default: h100)")
    where.add_argument("--constants", type=Path, metavar="FILE", help="JSON of a calibration of this machine")
    where.add_argument("--batch", default="1,8,64", metavar="LIST", help="sequences of a step (default: 1,8,64)")
    where.add_argument("--context", default="1024", metavar="N", help="positions attended over (default: 1024)")
    where.add_argument("--dtype", help="weights of both models, e.g. bf16, fp8 (default: as published)")
    where.add_argument("--kv-dtype", help="cache of both models (default: the configs' own)")
    request = project.add_argument_group("one request")
    request.add_argument("--prompt", metavar="N", help="tokens of the prompt")
    request.add_argument("--output", metavar="N", help="tokens of the answer")
    request.add_argument("--moe-output", metavar="F", help="the sparse-expert answer is F times as long (default: 1)")
    training = project.add_argument_group("training")
    training.add_argument("--dense-tokens", metavar="N", help="e.g. 15.6T (default: the pair's published tokens)")
    training.add_argument("--moe-tokens", metavar="N")
    training.add_argument("--dense-mfu", metavar="F", help="of the BF16 peak (default: 0.37)")
    training.add_argument("--moe-mfu", metavar="F", help="of the BF16 peak (default: 0.26)")
    project.add_argument("--json", type=Path, metavar="FILE", help="write everything, with sources, as JSON")
    project.set_defaults(handler=_project)


def _project(options: argparse.Namespace) -> int:
    from harness.analysis.projection.results import projection_to_json
    from harness.analysis.projection.text import pairs_to_text, projection_to_text

    projections = _run(options)
    if options.pair == _ALL:
        print(pairs_to_text(projections))
        content: Any = [projection_to_json(one) for one in projections]
    else:
        print(projection_to_text(projections[0]))
        content = projection_to_json(projections[0])
    _write_json(options.json, content)
    return EXIT_OK


def _run(options: argparse.Namespace) -> list[Projection]:
    from harness.analysis.projection.pairs import load_pair, load_pairs
    from harness.analysis.projection.project import project_models, project_pair

    if options.pair is not None and (options.dense or options.moe):
        raise ConfigError("--pair names both models; leave out --dense and --moe.")
    if options.pair is None and not (options.dense and options.moe):
        raise ConfigError("name the models: --pair NAME (or 'all'), or --dense CONFIG and --moe CONFIG.")
    batches = _batches(options.batch)
    context = _whole("--context", options.context)
    pairs: Sequence[Pair] = ()
    if options.pair is not None:
        pairs = load_pairs() if options.pair == _ALL else [load_pair(options.pair)]
    given: dict[str, Any] = {
        "constants": options.constants,
        "assumptions": _assumptions(options),
        "dtype": options.dtype,
        "kv_dtype": options.kv_dtype,
        "request": _request(options),
        "training": _training(options, pairs),
    }
    if not pairs:
        return [project_models(options.dense, options.moe, options.hardware, batches, context, **given)]
    return [project_pair(pair, options.hardware, batches, context, **given) for pair in pairs]


def _assumptions(options: argparse.Namespace) -> Assumptions:
    from harness.analysis.projection.assumptions import Assumptions

    changes = {}
    for name, field, text in (
        ("--dense-mfu", "dense_train_mfu", options.dense_mfu),
        ("--moe-mfu", "moe_train_mfu", options.moe_mfu),
    ):
        if text is not None:
            value = _number(name, text)
            if value > 1:
                raise ConfigError(f"{name} is '{text}'; give a share above 0 and up to 1, e.g. 0.37.")
            changes[field] = value
    return dataclasses.replace(Assumptions(), **changes)


def _request(options: argparse.Namespace) -> Request | None:
    from harness.analysis.projection.requests import Request

    if options.prompt is None and options.output is None:
        if options.moe_output is not None:
            raise ConfigError("--moe-output needs a request: give --prompt and --output too.")
        return None
    if options.prompt is None or options.output is None:
        raise ConfigError("a request has a prompt and an answer: give both --prompt and --output.")
    return Request(
        prompt_tokens=_whole("--prompt", options.prompt),
        output_tokens=_whole("--output", options.output),
        moe_output_factor=1.0 if options.moe_output is None else _number("--moe-output", options.moe_output),
    )


def _training(options: argparse.Namespace, pairs: Sequence[Pair]) -> TrainingPlan | None:
    from harness.analysis.projection.training import DEFAULT_TRAIN_CONTEXT, TrainingPlan

    if options.dense_tokens is None and options.moe_tokens is None:
        return None
    facts = (pairs[0].dense_training, pairs[0].moe_training) if len(pairs) == 1 else (None, None)
    tokens = [
        _tokens(name, text) if text is not None else (fact.tokens if fact else None)
        for name, text, fact in zip(
            ("--dense-tokens", "--moe-tokens"), (options.dense_tokens, options.moe_tokens), facts, strict=True
        )
    ]
    if tokens[0] is None or tokens[1] is None:
        raise ConfigError("training compares two runs: give both --dense-tokens and --moe-tokens.")
    contexts = [(fact.context if fact else None) or DEFAULT_TRAIN_CONTEXT for fact in facts]
    return TrainingPlan(
        dense_tokens=tokens[0], moe_tokens=tokens[1], dense_context=contexts[0], moe_context=contexts[1]
    )


def _batches(text: str) -> list[int]:
    """Return the batches of a comma list, each once."""
    return list(dict.fromkeys(_whole("--batch", part.strip(), f"'{text}'", "1,8,64") for part in text.split(",")))


def _whole(name: str, text: str, shown: str | None = None, example: str = "") -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        wanted = f"whole numbers, 1 or more, with commas: {example}" if example else "a whole number, 1 or more"
        raise ConfigError(f"{name} is {shown or repr(text)}; give {wanted}.")
    return int(text)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{name} is '{text}'; give a number above 0.")
    return value


def _tokens(name: str, text: str) -> float:
    """Return a number of tokens: ``15.6T``, ``300B`` or ``2e12``."""
    found = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([KMBT]?)", text.strip())
    if found is None:
        raise ConfigError(f"{name} is '{text}'; give a number of tokens: 15.6T, 300B or 2e12.")
    return _number(name, found.group(1)) * _FACTORS[found.group(2)]


def _write_json(path: Path | None, content: object) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror}.") from error
