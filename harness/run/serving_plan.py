"""What is asked of a server, in which order: every question of the task's kinds, shuffled by the run's seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.core.config import RunConfig
from harness.core.errors import ConfigError
from harness.serving.arrivals import draw_arrivals
from harness.serving.load import Load
from harness.serving.protocol import Ask
from harness.tasks.questions import Question
from harness.tasks.suite import cut_prompt

_ARRIVALS_SALT = 1_000_003


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One question, the time it is asked (`repetition` from 0), and what goes to the server."""

    question: Question
    repetition: int
    ask: Ask


def plan_requests(config: RunConfig, suite: Mapping[str, Sequence[Question]]) -> list[PlannedRequest]:
    """Return the requests of a run in the order of sending.

    Each repetition asks every question once, kinds mixed, in an order of its own that depends on the seed alone; so
    both servers of a pair see the same requests. `server.num_requests` cuts the list, or goes on with more repetitions.

    Raises:
        ConfigError: the task has no kinds.
    """
    kinds = config.task.kinds
    questions = [question for name in sorted(suite) for question in suite[name]]
    if not questions:
        raise ConfigError(
            "the task has no kinds to ask a server; give task=serve, or a task of yours with kinds (isojoule ls kind)."
        )
    num_requests = config.server.num_requests or len(questions) * config.task.repetitions
    planned: list[PlannedRequest] = []
    for repetition in itertools.count():
        rng = random.Random(f"{config.seed}:{repetition}")
        for question in rng.sample(questions, len(questions)):
            if len(planned) == num_requests:
                return planned
            kind = kinds[question.kind]
            prompt = cut_prompt(question, kind.context_bytes)
            planned.append(
                PlannedRequest(question, repetition, Ask(prompt, kind.max_answer_tokens, question.stop, config.seed))
            )
    return planned


def plan_warmup(planned: Sequence[PlannedRequest], num_warmup: int) -> list[Ask]:
    """Return requests like the last of the plan, each with a beginning of its own: a server's prefix cache keeps none.

    At least one, which also finds out how the server is spoken to.
    """
    asks = [planned[-1 - place % len(planned)].ask for place in range(max(1, num_warmup))]
    return [
        Ask(f"Warm-up {place}.\n{ask.prompt}", ask.max_tokens, ask.stop, ask.seed) for place, ask in enumerate(asks)
    ]


def plan_load(config: RunConfig, num_requests: int) -> Load:
    """Return the closed or open loop that the configuration asks for; arrivals are drawn from the seed."""
    server = config.server
    if server.request_rate is None:
        return Load(server.concurrency, server.max_run_s)
    arrivals = draw_arrivals(num_requests, server.request_rate, server.burstiness, config.seed + _ARRIVALS_SALT)
    return Load(server.concurrency, server.max_run_s, tuple(arrivals))
