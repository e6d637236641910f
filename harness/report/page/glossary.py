"""The field's terms, explained where each first stands on the page and once more in a list at its end."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from harness.report.page.blocks import Cell

# Term as it is written: what it means. A term may have other spellings (`_SPELLINGS`).
TERMS: dict[str, str] = {
    "bits per byte": (
        "The loss of a language model on held-out text, in bits for each byte of it: lower is better. Unlike loss per "
        "token it does not depend on the tokenizer."
    ),
    "matched loss": (
        "The loss at which both families are compared. The rule that picks it was written down before the first run."
    ),
    "compute multiplier": (
        "How many times the compute the baseline needs to reach the loss that the candidate reached. Above 1 the "
        "candidate needs less."
    ),
    "active parameters": "The parameters that one token passes through. A sparse-expert model has many more in total.",
    "routed expert": "One of many small feed-forward networks; a router sends each token to a few of them.",
    "router": "The small layer that chooses, for each token, which experts work on it.",
    "dead experts": "Experts that no token, or nearly none, is ever sent to: parameters that are paid for and unused.",
    "max violation": "How far the busiest expert's load lies above an even share, relative to that share; 0 is even.",
    "measurement window": "The stretch between two synchronised moments whose energy, time and work belong together.",
    "idle power": "What the device draws while it waits, measured before and after a run.",
    "gross": "All energy of a window, what the device would have drawn idle included.",
    "net of idle": "Energy of a window less idle power times its length.",
    "energy boundary": "Which devices' energy is added up: accelerator, processor, memory or the whole machine.",
    "prefill": "Reading the prompt: all its tokens in one pass. It ends with the first token of the answer.",
    "decode": "Writing the answer, one token a pass.",
    "TTFT": "Time to first token: from sending a request to the first output.",
    "TPOT": "Time per output token after the first: (E2E - TTFT) / (output tokens - 1).",
    "ITL": "Inter-token latency: the gaps between successive outputs.",
    "E2E": "End to end: from sending a request to its last output.",
    "MFU": "Model FLOP utilisation: the model's FLOPs per second over the device's peak.",
    "MBU": "Memory bandwidth utilisation: the bytes that must be read per second over the device's peak bandwidth.",
    "KV cache": "Keys and values of past tokens, kept so that decode need not compute them again.",
    "FLOPs": "Floating-point operations, a count of work, here by formula from the shapes that ran.",
    "constants of a step": (
        "Joules per step, per byte read and per FLOP whose sum is fitted to the energy of steps. They hold idle power."
    ),
    "held out": "Predicted by a fit that did not see it: the error to expect of work that was not measured.",
    "FLOP/s": "Floating-point operations per second: a rate.",
    "seed": "The number that fixes one run's randomness. Intervals are made from several seeds.",
    "TOST": (
        "Two one-sided tests: equality is claimed only where the difference lies, beyond doubt, inside a margin that "
        "was declared beforehand."
    ),
    "lower bound": "The true number is at least this large: the other side never got there within what was run.",
    "size-matched": "Compared at single sizes, without proof that each is the best size for its budget.",
    "frontier": "The lowest loss that a family reaches at each cost, over all its sizes.",
    "trunk": "A training run at a constant learning rate that several budgets share; each branches off and decays.",
    "modelled": "Computed from load and nameplate power because no meter could be read. Never a measurement.",
    "projected": "What a model says about something that was not run. Never a measurement.",
    "grade": (
        "How a number of energy came about: A hardware counter, B sampled hardware power, C modelled, D assumed. A sum "
        "or ratio carries the worst grade among its parts."
    ),
    "PUE": "Power usage effectiveness: a building's energy over that of its computers.",
    "overlap": "1 where two kinds of tasks use the same experts alike, 0 where they share none.",
    "goodput": "Answers per second that kept every declared limit of latency.",
    "chance": "The accuracy that blind answers would reach.",
}
_SPELLINGS = {
    "Grade": "grade",
    "Prefill": "prefill",
    "Modelled": "modelled",
    "Projected": "projected",
    "Matched loss": "matched loss",
    "Max violation": "max violation",
    "Dead experts": "dead experts",
    "Lower bound": "lower bound",
    "Size-limited": "size-matched",
    "Overlap": "overlap",
    "Chance": "chance",
    "Goodput": "goodput",
    "frontiers": "frontier",
    "seeds": "seed",
    "Seeds": "seed",
    "trunks": "trunk",
    "Trunks": "trunk",
    "net energy": "net of idle",
    "routed experts": "routed expert",
    "held-out error": "held out",
    "Energy boundary": "energy boundary",
    "measured window": "measurement window",
    "measured windows": "measurement window",
}
_WORDS = sorted([*TERMS, *_SPELLINGS], key=len, reverse=True)
_PATTERN = re.compile(r"(?<![\w/])(?<!by )(" + "|".join(map(re.escape, _WORDS)) + r")(?![\w/])")
# A number opens its source when it is pressed, so it is passed over whole, like a tag.
_TAG = re.compile(r'(<span (?:class="unknown" )?data-value[^>]*>[^<]*</span>|<[^>]*>)')
_CLOSED = ("a", "button", "code", "summary", "svg", "small", "pre")


class Explainer:
    """Marks the first stand of each term on a page; make one for each page."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def explain(self, text: Cell) -> Markup:
        """Return `text` with each term that was not explained yet as a button that opens its explanation.

        Words inside links, buttons, numbers, code and small print stay as they are.
        """
        depth, parts = 0, []
        for part in _TAG.split(str(escape(text))):
            if part.startswith("<"):
                name = re.match(r"</?(\w+)", part)
                if name is not None and name.group(1) in _CLOSED:
                    depth += -1 if part.startswith("</") else 1
                parts.append(part)
            else:
                parts.append(part if depth else _PATTERN.sub(self._mark, part))
        return Markup("".join(parts))  # noqa: S704 - escaped above

    def hint(self, title: str) -> Markup:
        """Return a small button for the first unexplained term in a column's title, which itself may be a button."""
        for found in _PATTERN.finditer(title):
            term = _SPELLINGS.get(found.group(1), found.group(1))
            if term not in self.used:
                self.used.add(term)
                return Markup(
                    ' <button type="button" class="term q" popovertarget="{}" aria-label="{}">?</button>'
                ).format(term_id(term), f"What is {term}?")
        return Markup("")

    def _mark(self, found: re.Match[str]) -> str:
        term = _SPELLINGS.get(found.group(1), found.group(1))
        if term in self.used:
            return found.group(0)
        self.used.add(term)
        return f'<button type="button" class="term" popovertarget="{term_id(term)}">{found.group(0)}</button>'


def term_id(term: str) -> str:
    """Return the id of a term's explanation."""
    return "term-" + re.sub(r"\W+", "-", term.lower())
