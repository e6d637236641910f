"""YAML from files that anybody may have written: plain values only, bounded, no key twice."""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

from harness.core.plain_json import PlainJsonError, check_depth

MAX_YAML_CHARACTERS = 2**19
MAX_NODES = 200_000


class PlainYamlError(ValueError):
    """A text that is no YAML of the kind that is read here; the message says why in one line."""


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc, unused-ignore]
    """PyYAML's safe loader, without repeated keys and without aliases that grow."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        _count_nodes(node, {})
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise PlainYamlError(f"the key {twice[:80]!r} stands twice (line {node.start_mark.line + 1})")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def refuse_growing_aliases(text: str) -> None:
    """Check that no YAML text of a few lines stands for millions of values; any other mistake is left to its reader.

    Raises:
        PlainYamlError: its aliases (``*name``) stand for more than `MAX_NODES` values, or hold themselves.
    """
    if text.count("*") < 2 or "&" not in text:
        return
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    _count_nodes(node, {})


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML text.

    Raises:
        PlainYamlError: it is no YAML, makes objects of Python (``!!python/...``), or is too long or too deep.
    """
    if len(text) > MAX_YAML_CHARACTERS:
        raise PlainYamlError(f"it has more than {MAX_YAML_CHARACTERS} characters")
    try:
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - it is a safe loader
        check_depth(content)
    except PlainYamlError:
        raise
    except RecursionError:
        raise PlainYamlError("it is nested too deep") from None
    except (yaml.YAMLError, PlainJsonError, ValueError, OverflowError, TypeError, AttributeError) as error:
        raise PlainYamlError(" ".join(str(error).split())) from None
    return content


def _count_nodes(node: Any, known: dict[int, int | None]) -> int:
    """Return how many values `node` stands for with its aliases written out; `known` holds those of earlier nodes."""
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise PlainYamlError("an alias (*name) holds itself")
        return found
    known[id(node)] = None
    children: list[Any] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    count = 1 + sum(_count_nodes(child, known) for child in children)
    if count > MAX_NODES:
        raise PlainYamlError(f"with its aliases (*name) written out it has more than {MAX_NODES} values")
    known[id(node)] = count
    return count
