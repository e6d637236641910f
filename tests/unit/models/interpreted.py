"""Runs the fused dispatch on a CPU in Triton's interpreter: ``python -m tests.unit.models.interpreted OUT``.

A process of its own: Triton chooses the interpreter once, when it is first imported. Memory that nobody wrote holds NaN
here, so that reading it shows.
"""

from __future__ import annotations

import dataclasses
import sys

import torch
from torch import Tensor

from harness.flops.executed import ExpertRows, count_executed_train_flops_per_token
from harness.flops.traced import trace_flops
from harness.models import build_model
from harness.models.dispatch import DISPATCHES, count_rows
from harness.models.permuted import load_kernels
from harness.models.transformer import Output
from harness.train.loss import training_loss
from tests.unit.models.configs import MOE
from tests.unit.models.test_dispatch import SHAPES, make_case, run

CONTEXT = 12
MODELS = {
    "all served": dataclasses.replace(MOE, dispatch="fused"),
    "some dropped": dataclasses.replace(MOE, dispatch="fused", router="switch", top_k=1, capacity_factor=0.5),
}
# choices, experts: several blocks of choices, one short of a block, experts that nobody chose
SORTED = [(1, 3), (127, 5), (128, 1), (300, 64), (1000, 7)]


def make_case_without_rows() -> tuple[object, ...]:
    """Return a case whose choices were all dropped."""
    experts, x, routing = make_case(5, 4, 2)
    return (
        experts,
        x,
        dataclasses.replace(
            routing,
            experts_Nk=torch.full_like(routing.experts_Nk, 4),
            gates_Nk=torch.zeros_like(routing.gates_Nk),
            load_E=torch.zeros_like(routing.load_E),
            dropped=torch.tensor(10),
        ),
    )


def wide_case() -> tuple[object, ...]:
    """Return a case whose rows are wider than one program's tile."""
    experts, x, routing = make_case(3, 4, 2, drop=True)
    generator = torch.Generator().manual_seed(1)
    d_model, width = 1100, 1060
    experts.gate_up_EDF = torch.nn.Parameter(torch.randn(4, d_model, 2 * width, generator=generator) * 0.03)
    experts.down_EFD = torch.nn.Parameter(torch.randn(4, width, d_model, generator=generator) * 0.03)
    return experts, torch.randn(x.shape[0], d_model, generator=generator), routing


def run_both(case: tuple[object, ...]) -> list[list[Tensor]]:
    """Return outputs and gradients of the loop and of the fused dispatch."""
    return [run(name, *case) for name in ("loop", "fused")]


def run_in_bf16() -> list[Tensor]:
    """Return the fp32 loop's output and that of the fused dispatch under autocast."""
    experts, x, routing = make_case(40, 8, 2)
    expected = run("loop", experts, x, routing)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = DISPATCHES.get("fused")(x, routing, experts.gate_up_EDF, experts.down_EFD)
    return [expected, y.detach()]


def sort_choices(num_choices: int, num_experts: int) -> list[Tensor]:
    """Return experts (one of them the dropped one's number), and what the kernels make of them."""
    generator = torch.Generator().manual_seed(num_choices)
    experts = torch.randint(0, num_experts + 1, (num_choices, 1), generator=generator)
    return [experts, *load_kernels().place_choices(experts, num_experts)]


def count_flops(config: object) -> list[float]:
    """Return traced FLOPs of a training step, the executed count, and the choices that were dropped."""
    model = build_model(config, seed=0).train()
    tokens = torch.randint(0, config.vocab_size, (2, CONTEXT), generator=torch.Generator().manual_seed(0))
    outputs: list[Output] = []

    def step() -> None:
        outputs.append(model(tokens))
        training_loss(outputs[0], tokens, config)[1].backward()

    traced = trace_flops(step)
    rows = ExpertRows(*count_rows(outputs[0].routings, "fused").tolist())
    executed = count_executed_train_flops_per_token(config, CONTEXT, rows, tokens.numel()) * tokens.numel()
    return [traced, executed, rows.dropped]


def main(path: str) -> None:
    """Write all results to `path`."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    results: dict[str, object] = {
        f"{shape} drop={drop}": run_both(make_case(*shape, drop=drop)) for shape in SHAPES for drop in (False, True)
    }
    results["no rows"] = run("fused", *make_case_without_rows())
    results["wide"] = run_both(wide_case())
    results["bf16"] = run_in_bf16()
    results |= {f"sorted {case}": sort_choices(*case) for case in SORTED}
    results |= {f"flops {name}": count_flops(config) for name, config in MODELS.items()}
    torch.save(results, path)


if __name__ == "__main__":
    main(sys.argv[1])
