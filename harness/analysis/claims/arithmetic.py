"""Arithmetic over named inputs, and nothing else: what a published figure follows from, computed where it is shown."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

from harness.core.errors import ConfigError, did_you_mean

FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_SYMBOLS = "+ - * / ** ( ) min max"
_MAX_LENGTH = 2000
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def evaluate_formula(formula: str, inputs: Mapping[str, float]) -> float:
    """Return the value of `formula` over `inputs`: ``+ - * / **``, unary minus, parentheses, ``min`` and ``max``.

    Raises:
        ConfigError: the formula holds anything else, a name that is no input, or has no finite real value.
    """
    formula = " ".join(formula.split())
    tree = _parse(formula)
    try:
        value = _evaluate(tree, inputs, formula)
    except ZeroDivisionError as error:
        raise ConfigError(f"the formula '{formula}' divides by zero.") from error
    except OverflowError as error:
        raise ConfigError(f"the formula '{formula}' has no finite value.") from error
    except RecursionError as error:
        raise ConfigError("the formula is nested too deeply to be read.") from error
    if not math.isfinite(value):
        raise ConfigError(f"the formula '{formula}' has no finite value.")
    return value


def find_names(formula: str) -> frozenset[str]:
    """Return the names of the inputs that `formula` uses.

    Raises:
        ConfigError: the formula cannot be read.
    """
    nodes = ast.walk(_parse(" ".join(formula.split())))
    return frozenset(node.id for node in nodes if isinstance(node, ast.Name)) - FUNCTIONS.keys()


def fill_formula(formula: str, inputs: Mapping[str, float]) -> str:
    """Return `formula` with each name replaced by its number, e.g. ``6 * 3.7e10 * 1.48e13 / 3.8e25``."""
    spaced = " ".join(formula.split())
    return _NAME.sub(lambda found: _show(inputs[found[0]]) if found[0] in inputs else found[0], spaced)


def _parse(formula: str) -> ast.expr:
    if len(formula) > _MAX_LENGTH:
        raise ConfigError(f"the formula is {len(formula)} characters long; at most {_MAX_LENGTH} are read.")
    try:
        return ast.parse(formula, mode="eval").body
    except _UNREADABLE as error:
        raise ConfigError(
            f"the formula '{formula}' is no arithmetic; it may hold names, numbers and {_SYMBOLS}."
        ) from (error)


def _evaluate(node: ast.expr, inputs: Mapping[str, float], formula: str) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)  # powers of whole numbers could take for ever; those of floats overflow and end
        case ast.Name(id=name):
            if name not in inputs:
                raise ConfigError(
                    f"the formula '{formula}' uses '{name}', which is no input; there are: "
                    f"{', '.join(sorted(inputs)) or 'none'}.{did_you_mean(name, inputs)}"
                )
            return float(inputs[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, inputs, formula)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            value = _OPERATORS[type(op)](_evaluate(left, inputs, formula), _evaluate(right, inputs, formula))
            if isinstance(value, complex):
                raise ConfigError(f"the formula '{formula}' takes a root of a negative number.")
            return value
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as parts, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name]([_evaluate(part, inputs, formula) for part in parts])
    raise ConfigError(
        f"the formula '{formula}' holds '{ast.unparse(node)}'; it may hold names, numbers and {_SYMBOLS} only."
    )


def _show(value: float) -> str:
    text = f"{value:.6g}".replace("e+", "e").replace("e0", "e")
    return f"({text})" if value < 0 else text
