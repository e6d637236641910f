"""Fuzz the loaders: ``python -m tests.fuzz.fuzz_loaders --seconds 600``; needs no network and no GPU.

libFuzzer (atheris) steers by the coverage of the loaders and changes bytes; every other change is one of the JSON's
structure (a value of another type or size, a key twice, a level too many), since most of what bytes change is no JSON
at all. Without atheris the same changes are made at random. A finding is written to ``--findings`` and ends the run
with exit code 1; put it into ``tests/fuzz/corpus/`` when it is mended.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

NASTY = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 0.5, -0.0, 1e308, -1e308, 1e-320, "",
    "../../x", "a/b", "..", ".", "\x00", "\x1b[31m", "\u202e", "\ud800", "\u2028", "x" * 70_000, "1", "NaN",
    "${oc.env:HOME}",
    [], {}, [[]], [None], {"": {}}, {"_target_": "os.system"}, [[1, 2, 3]], float("nan"), float("inf"),
]  # fmt: skip


def change(rng: random.Random, data: bytes) -> bytes:
    """Return `data` with one to four changes of its structure where it is JSON, of its bytes where it is not."""
    text = data.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return change_bytes(rng, data)
    for _ in range(rng.randint(1, 4)):
        content = _change_value(rng, content)
    text = json.dumps(content)
    kind = rng.random()
    if kind < 0.05:
        text = text.replace(": ", f": {'[' * rng.choice((50, 150, 5000))}", 1)
    elif kind < 0.1 and text.startswith("{") and len(text) > 2:
        text = f"{text[:-1]}, {text[1:]}"  # every key twice
    elif kind < 0.15:
        text = text.replace("0", rng.choice(("1e400", "-1e400", "9" * 5000, "Infinity", "0x10", "01")), 1)
    return text.encode("utf-8", "surrogatepass")


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return `data` cut, doubled, or with a few bytes changed."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(5):
            case 0:
                content = content[:at]
            case 1:
                content[at:at] = content[: rng.randrange(200)]
            case 2:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                content[at:at] = str(rng.choice(NASTY)).encode("utf-8", "surrogatepass")
            case _:
                del content[at : at + rng.randrange(20)]
    return bytes(content)


def _change_value(rng: random.Random, content: Any) -> Any:  # noqa: PLR0911 - one a change
    """Walk a random way down and change what stands at its end."""
    if isinstance(content, dict) and content and rng.random() < 0.85:
        name = rng.choice(list(content))
        if rng.random() < 0.06:
            return {key: value for key, value in content.items() if key != name}
        if rng.random() < 0.06:
            return {**content, rng.choice(("extra", "_target_", name + "x", "\u202e")): rng.choice(NASTY)}
        return {**content, name: _change_value(rng, content[name])}
    if isinstance(content, list) and content and rng.random() < 0.85:
        at = rng.randrange(len(content))
        if rng.random() < 0.1:
            return content[:at] + content[at + 1 :]
        if rng.random() < 0.1:
            return content + content[: at + 1]
        return [*content[:at], _change_value(rng, content[at]), *content[at + 1 :]]
    if isinstance(content, int | float) and not isinstance(content, bool) and rng.random() < 0.4:
        return rng.choice(
            (-content, content * 1000, content + 1, 0 * content, content / 2 if abs(content) < 1e300 else 0.5)
        )
    return rng.choice(NASTY)


class Fuzzer:
    """Runs loaders on changed files, counts, and keeps what comes out of one that is no refusal."""

    def __init__(self, findings: Path, seconds: float) -> None:
        from tests.fuzz.loaders import LOADERS

        self.names = list(LOADERS)
        self.findings = findings
        self.seconds = seconds
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.slowest: tuple[float, str] = (0.0, "")
        self.found: Counter[str] = Counter()
        self._folder = Path(tempfile.mkdtemp(prefix="isojoule-fuzz-"))
        self._end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() > self._end

    def run(self, name: str, data: bytes) -> None:
        """Run one loader on one file."""
        from tests.fuzz.loaders import empty, run_loader

        began = time.monotonic()
        try:
            self.refused[name] += run_loader(name, data, empty(self._folder)) is not None
        except Exception as error:  # noqa: BLE001 - what is looked for
            self._keep(name, data, error)
        self.counts[name] += 1
        self.slowest = max(self.slowest, (time.monotonic() - began, name))

    def _keep(self, name: str, data: bytes, error: Exception) -> None:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place is not None else "?"
        key = f"{name}: {type(error).__name__} at {where}: {str(error)[:120]!r}"
        kind = f"{name}: {type(error).__name__} at {where}"
        self.found[kind] += 1
        if self.found[kind] == 1:
            self.findings.mkdir(parents=True, exist_ok=True)
            path = self.findings / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"FOUND {key} -> {path}", flush=True)

    def summarise(self) -> str:
        """Return what was run, one loader a line."""
        lines = [f"{name}: {count} files, {self.refused[name]} refused" for name, count in sorted(self.counts.items())]
        lines.append(f"{sum(self.counts.values())} files in all, {len(self.found)} findings")
        lines.append(f"slowest: {self.slowest[0]:.2f} s ({self.slowest[1]})")
        return "\n".join(lines)


def run_random(fuzzer: Fuzzer, seeds: list[tuple[str, bytes]], seed: int) -> None:
    """Change files at random until the time is up; each loader gets about the same number of them."""
    rng = random.Random(seed)
    by_name: dict[str, list[bytes]] = {}
    for name, data in seeds:
        by_name.setdefault(name, []).append(data)
    costly = {"store": 0.02, "shape": 0.3}
    names = [name for name in by_name if name in fuzzer.names]
    weights = [costly.get(name, 1.0) for name in names]
    while not fuzzer.is_over:
        name = rng.choices(names, weights)[0]
        data = rng.choice(by_name[name])
        changed = change(rng, data) if rng.random() < 0.8 else change_bytes(rng, data)
        fuzzer.run(name, changed)


def run_guided(fuzzer: Fuzzer, seeds: list[tuple[str, bytes]], seed: int) -> None:
    """Let libFuzzer steer; the first byte of an input names its loader. It ends the process, so it summarises too."""
    import atheris

    names = fuzzer.names
    fuzzer.findings.mkdir(parents=True, exist_ok=True)
    corpus = Path(tempfile.mkdtemp(prefix="isojoule-corpus-"))
    for index, (name, data) in enumerate(seeds):
        (corpus / str(index)).write_bytes(bytes([names.index(name)]) + data)

    def take(data: bytes) -> None:
        if data:
            name = names[data[0] % len(names)]
            if name == "store" and len(data) % 8:  # a store takes a hundred times as long as its record
                name = "record"
            fuzzer.run(name, data[1:])
        if fuzzer.is_over:
            print(fuzzer.summarise(), flush=True)
            os._exit(1 if fuzzer.found else 0)  # libFuzzer knows no other end

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.5 or not data:
            changed: bytes = atheris.Mutate(data, max_size)
            return changed
        return (data[:1] + change(rng, data[1:]))[:max_size]

    arguments = [sys.argv[0], f"-max_total_time={fuzzer.seconds + 30}", f"-seed={seed + 1}", "-max_len=400000",
                 "-timeout=60", "-rss_limit_mb=4096", f"-artifact_prefix={fuzzer.findings}/", str(corpus)]  # fmt: skip
    atheris.Setup(arguments, take, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Fuzz for so many seconds; return 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("auto", "atheris", "random"), default="auto")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    engine = options.engine
    if engine == "auto":
        engine = "random" if importlib.util.find_spec("atheris") is None else "atheris"
    print(f"engine {engine}, seed {options.seed}, {options.seconds} s", flush=True)
    if engine == "random":
        return _fuzz(options, run_random)
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install atheris, or --engine random", file=sys.stderr)
        return 2
    # Only what is imported while this lasts tells libFuzzer where it was.
    assert not any(name.partition(".")[0] == "harness" for name in sys.modules)
    with atheris.instrument_imports(include=["harness"]):
        return _fuzz(options, run_guided)


def _fuzz(options: argparse.Namespace, run: Callable[[Fuzzer, list[tuple[str, bytes]], int], None]) -> int:
    from tests.fuzz.loaders import seeds

    fuzzer = Fuzzer(options.findings, options.seconds)
    run(fuzzer, seeds(), options.seed)
    print(fuzzer.summarise())
    return 1 if fuzzer.found else 0


if __name__ == "__main__":
    sys.exit(main())
