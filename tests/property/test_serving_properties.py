"""Energy of requests: whatever was answered, the shares add up to the run's energy and nothing failed bears any."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from harness.core.readings import EnergyReading
from harness.run.serving.energy import share_energy
from harness.serving.outcome import Outcome
from harness.serving.protocol import Usage

_USAGE = st.builds(Usage, st.integers(0, 100_000), st.integers(0, 10_000))
_ENDS = st.lists(st.tuples(st.sampled_from(["answered", "failed"]), st.none() | _USAGE), max_size=30)


def _outcome(index: int, state: str, usage: Usage | None) -> Outcome:
    result = Outcome(index, sent_s=0.0, end_s=1.0, usage=usage)
    if state == "failed":
        result.fail("timeout", "too slow", 1.0)
    return result


@given(_ENDS, st.floats(1e-6, 1e9))
def test_shares_add_up_and_only_answers_bear_them(ends: list[tuple[str, Usage | None]], energy_j: float) -> None:
    outcomes = [_outcome(index, *end) for index, end in enumerate(ends)]
    reading = EnergyReading(
        sensor="nvml", domain="gpu", device="gpu", device_index=0, energy_j=energy_j, grade="A", method="counter"
    )
    shares = share_energy(outcomes, [reading])
    assert len(shares.energies_j) == len(outcomes)
    answered = [share for outcome, share in zip(outcomes, shares.energies_j, strict=True) if outcome.answered]
    failed = [share for outcome, share in zip(outcomes, shares.energies_j, strict=True) if not outcome.answered]
    assert set(failed) <= {None}
    if not answered:
        assert shares.reason
        return
    assert None not in answered
    assert min(answered) >= 0
    assert math.isclose(math.fsum(answered), energy_j, rel_tol=1e-9)
    knows = all(outcome.usage is not None for outcome in outcomes if outcome.answered)
    assert shares.share == "equal" or knows
