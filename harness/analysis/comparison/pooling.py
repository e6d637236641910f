"""Which quantities of two studies mean the same, which may be pooled, and why not: line by line.

Counted operations and losses carry from machine to machine where data, tokenizer and formula are the same. Energy is
never pooled across devices: a sensor's gain cancels inside one study's ratio and nowhere else, so the card itself is a
blocking factor, and joules of two cards are not even compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.comparison.results import Pooling, Setting, Side

_WORDS = {
    "kind": "kind of study",
    "arms": "arms",
    "data": "data hash",
    "tokenizer": "tokenizer",
    "loss_version": "version of the validation loss",
    "formula": "formula version",
    "convention": "convention of FLOPs",
    "boundary": "energy boundary",
    "grade": "energy grade",
    "simulated": "reality of the readings",
    "sensors": "sensors",
    "device": "device",
    "device_kind": "kind of device",
    "threads": "number of threads",
    "precision": "precision",
    "schema": "record schema",
    "tasks": "tasks or prompts",
    "task_shape": "batch, context or length of answers",
}
_QUALITY = ("kind", "arms", "data", "tokenizer", "loss_version")
_TASK = ("kind", "arms", "tasks", "task_shape")
_RECORDS = ("schema", "device_kind", "device", "threads", "precision")
_COUNTS = ("formula", "convention")
_ENERGY = ("boundary", "grade", "simulated")
_HASH_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class _Quantity:
    """What must agree so that a quantity compares, and what besides so that it pools."""

    code: str
    title: str
    comparing: tuple[str, ...]
    pooling: tuple[str, ...] = ()
    one_device: bool = False
    trained_only: bool = False


QUANTITIES = (
    _Quantity("losses", "Losses, cell by cell", ("kind", "data", "tokenizer", "loss_version"), trained_only=True),
    _Quantity("flops", "Training FLOPs at equal loss", (*_QUALITY, *_COUNTS), trained_only=True),
    _Quantity("tokens", "Training tokens at equal loss", _QUALITY, trained_only=True),
    _Quantity("energy", "Ratio of training energies", (*_QUALITY, *_ENERGY), ("sensors",), True, trained_only=True),
    _Quantity("seconds", "Ratio of training times", _QUALITY, (), True, trained_only=True),
    _Quantity("peak_memory", "Ratio of peak memories", _QUALITY, (), True, trained_only=True),
    _Quantity("accuracy", "Accuracy on tasks", ("kind", "arms", "tasks")),
    _Quantity("flops_per_task", "FLOPs per task", (*_TASK, *_COUNTS)),
    _Quantity("energy_per_task", "Ratio of energies per task", (*_TASK, *_ENERGY), ("sensors",), True),
    _Quantity("seconds_per_task", "Ratio of times per task", _TASK, (), True),
)
# What a quantity of a finer name is judged by.
ALIASES = {
    "net_energy": "energy",
    "net_energy_per_task": "energy_per_task",
    "energy_per_correct": "energy_per_task",
    "energy_per_token": "energy_per_task",
    "energy_per_byte": "energy_per_task",
}
JOULES = "joules"


def judge_pooling(first: Side, second: Side, settings: Sequence[Setting]) -> list[Pooling]:
    """Return one line for each quantity of two studies, the joules themselves last."""
    letters = (first.letter, second.letter)
    trained = all(side.facts["kind"] == first.facts["kind"] for side in (first, second)) and _is_trained(first)
    lines = []
    for quantity in QUANTITIES:
        if quantity.trained_only and not trained and not (_is_trained(first) or _is_trained(second)):
            continue
        comparing = quantity.comparing
        if trained and quantity.code.endswith("_per_task"):
            comparing = (*comparing, "data", "tokenizer", "loss_version")
        if "grade" in comparing and (_is_modelled(first) or _is_modelled(second)):
            comparing = (*comparing, "sensors")  # two power models are two answers
        against = find_obstacles(first, second, tuple(dict.fromkeys(comparing)))
        pooling = find_obstacles(first, second, (*_RECORDS, *quantity.pooling))
        pooling += find_other_device(first, second) if quantity.one_device else ()
        pooling += _find_other_settings(letters, settings)
        pooling += _find_copies(first, second)
        may = not against and not pooling
        lines.append(
            Pooling(
                letters=letters,
                code=quantity.code,
                title=quantity.title,
                against_comparing=against,
                against_pooling=pooling,
                note=_note_seeds(first, second) if may else "",
            )
        )
    lines.append(
        Pooling(
            letters=letters,
            code=JOULES,
            title="Joules themselves",
            against_comparing=(*find_other_device(first, second), *find_obstacles(first, second, _ENERGY)),
            against_pooling=(
                *find_obstacles(first, second, (*_RECORDS, "sensors")),
                *_find_other_settings(letters, settings),
                *_find_copies(first, second),
            ),
        )
    )
    return lines


def find_obstacles(first: Side, second: Side, keys: Sequence[str]) -> tuple[str, ...]:
    """Return why two studies do not agree in `keys`; what one of them does not know is no agreement."""
    found = []
    for key in keys:
        word = _WORDS[key]
        sides = (first.facts[key], second.facts[key])
        unknown = [side.letter for side, values in zip((first, second), sides, strict=True) if not values]
        if unknown:
            found.append(f"{word} unknown in {' and '.join(unknown)}")
        elif sides[0] != sides[1]:
            found.append(f"other {word} ({_short(key, sides[0])} against {_short(key, sides[1])})")
    return tuple(found)


def find_other_device(first: Side, second: Side) -> tuple[str, ...]:
    """Return why the two studies are not known to have run on one and the same device."""
    names, cards = [[side.facts[key] for side in (first, second)] for key in ("device", "device_uuid")]
    if names[0] != names[1]:
        return (f"other device ({_short('device', names[0])} against {_short('device', names[1])})",)
    if not cards[0] or not cards[1]:
        return ("no record tells whether it was the same device: it has no UUID",)
    return () if cards[0] == cards[1] else (f"other device of the same name ({_short('device', names[0])})",)


def shared_seeds(first: Side, second: Side) -> tuple[int, ...]:
    """Return the seeds of finished runs that stand in both studies."""
    return tuple(sorted(set(first.seeds) & set(second.seeds)))


def _find_other_settings(letters: tuple[str, str], settings: Sequence[Setting]) -> tuple[str, ...]:
    names = [s.name for s in settings if _differs(s, letters)]
    if not names:
        return ()
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (f"other settings ({listed})",)


def _differs(setting: Setting, letters: tuple[str, str]) -> bool:
    """Return whether both studies record the setting and differ in it."""
    one, other = (setting.values.get(letter) for letter in letters)
    return one is not None and other is not None and one != other


def _find_copies(first: Side, second: Side) -> tuple[str, ...]:
    runs = [{(r.run_id, r.started_utc) for r in side.judged.content.records} for side in (first, second)]
    copies = len(runs[0] & runs[1])
    return (f"the same runs stand in both stores ({copies}): a copy is no evidence",) if copies else ()


def _note_seeds(first: Side, second: Side) -> str:
    seeds = shared_seeds(first, second)
    if not seeds:
        return "the seeds differ, so pooling adds seeds"
    return f"the seeds {', '.join(map(str, seeds))} stand in both: repeats of a seed are no new seeds, so n stays"


def _is_trained(side: Side) -> bool:
    return side.facts["kind"] == ("trained to a matched loss",)


def _is_modelled(side: Side) -> bool:
    return bool({"C", "D"} & set(side.facts["grade"]))


def _short(key: str, values: Sequence[str]) -> str:
    cut = [value[:_HASH_CHARACTERS] if key in ("data", "tokenizer") else value for value in values]
    text = ", ".join(cut)
    return text if len(text) <= 60 else f"{text[:57]}..."
