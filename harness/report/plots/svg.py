"""Matplotlib's SVG as a small and strict element of the page: no style attribute, no colour of its own, no idle byte.

A page whose policy forbids inline styles shows presentation attributes only, so every style becomes attributes; what
all children share stands once on their group. Marks say with ``data-row`` which row of the figure's table they are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from markupsafe import Markup

from harness.report.plots import svg_path

Element = ElementTree.Element
Attributes = dict[str, str]

ROWS = "rows-"
MERGED = "merged"
_MESH = "QuadMesh"
# What every shape has unless it says otherwise; the root element says so.
ROOT = {"fill": "var(--ink)", "stroke-linejoin": "round", "font-size": "9.5"}
_DEFAULTS = {
    **ROOT,
    "fill-opacity": "1",
    "opacity": "1",
    "stroke": "none",
    "stroke-width": "1",
    "stroke-opacity": "1",
    "stroke-linecap": "butt",
    "stroke-dasharray": "none",
    "stroke-dashoffset": "0",
    "stroke-miterlimit": "4",
    "font-weight": "normal",
    "font-style": "normal",
    "text-anchor": "start",
}
_PAINT = ("fill", "stroke")
_OWN = {"d", "x", "y", "href", "transform", "data-row", "opacity"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINK = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
_FONT = re.compile(r"^(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+)px ")
_MARKER_ROOM = 5.0
_SAME_WIDTH = 0.05


def clean_text(text: str) -> str:
    """Return free text without marks that turn the direction of writing, and without what XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", _DIRECTION.sub("", text))


@dataclass
class _Document:
    """What the elements of one drawing refer to, and under which short names."""

    figure_id: str
    colours: Mapping[str, str]
    targets: dict[str, Element] = field(default_factory=dict)
    clips: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    definitions: list[Element] = field(default_factory=list)

    def gather(self, element: Element) -> None:
        """Drop the namespaces of all names, and note what has an id."""
        for child in element.iter():
            child.tag = child.tag.rpartition("}")[2]
            for name in [name for name in child.attrib if "}" in name]:
                child.set(name.rpartition("}")[2], child.attrib.pop(name))
            if child.tag in {"path", "clipPath", "pattern"} and "id" in child.attrib:
                self.targets[child.attrib["id"]] = child
            if child.tag == "clipPath":
                self.clips[child.attrib["id"]] = _box(child[0])

    def link(self, target: str) -> str:
        """Return the short id of `target`; its definition is written once, however many outlines are alike."""
        found = self.targets[target]
        shape = Element(found.tag, {"id": ""})
        if found.tag == "path":
            shape.set("d", svg_path.write_path(svg_path.read_path(found.get("d", "")), 2))
        elif found.tag == "clipPath":
            left, top, right, bottom = self.clips[target]
            size = {"x": left, "y": top, "width": right - left, "height": bottom - top}
            ElementTree.SubElement(shape, "rect", {name: svg_path.number(value) for name, value in size.items()})
        else:
            shape.attrib.update({k: v for k, v in found.attrib.items() if k not in {"id", "x", "y"}})
            for child in found.iter("path"):
                attributes = self.attributes(child, dict.fromkeys(("fill",), "none"))
                attributes["d"] = svg_path.write_path(svg_path.read_path(child.get("d", "")))
                shape.append(Element("path", attributes))
        key = ElementTree.tostring(shape, encoding="unicode")
        if key not in self.names:
            self.names[key] = f"{self.figure_id}-{len(self.names) + 1}"
            shape.set("id", self.names[key])
            self.definitions.append(shape)
        return self.names[key]

    def attributes(self, element: Element, known: Mapping[str, str]) -> Attributes:
        """Return the presentation attributes of `element` that differ from the defaults, colours as variables."""
        found = dict(known)
        for part in element.get("style", "").split(";"):
            name, _, value = part.partition(":")
            if name.strip() == "font" and (font := _FONT.match(value.strip())):
                found.update({"font-size": font["size"], "font-weight": font["weight"] or "normal"})
            elif name.strip() in _DEFAULTS:
                found[name.strip()] = value.strip()
        for name in _PAINT:
            found[name] = self._paint(found.get(name, _DEFAULTS[name]))
        if found["fill"] == "none" or float(found.get("fill-opacity", 1)) == 0:
            found["fill"] = "none"
            found.pop("fill-opacity", None)
        if found["stroke"] == "none" or float(found.get("stroke-opacity", 1)) == 0:
            found = {name: value for name, value in found.items() if not name.startswith("stroke")}
        for name, value in found.items():
            if name not in {*_PAINT, "font-weight", "text-anchor", "font-style"} and _NUMBER.match(value):
                found[name] = " ".join(svg_path.number(float(v), 2) for v in _NUMBER.findall(value))
        return {name: value for name, value in sorted(found.items()) if value != _DEFAULTS.get(name)}

    def _paint(self, value: str) -> str:
        if value == "none" or value.startswith("var("):
            return value
        if (found := _LINK.match(value)) is not None:
            return f"url(#{self.link(found[1])})"
        if value.lower() not in self.colours:
            raise ValueError(f"the colour {value} stands for no variable of the page")
        return f"var(--{self.colours[value.lower()]})"


def inline(  # noqa: PLR0917 - what a figure is, in the order of `style.draw`
    svg: str, figure_id: str, title: str, description: str, kind: str, colours: Mapping[str, str]
) -> Markup:
    """Return matplotlib's SVG document as an element of the page with its title and description.

    `colours` maps each colour that was drawn to the CSS variable that it stands for. Ids begin with `figure_id`.

    Raises:
        ValueError: a colour is drawn that stands for no variable, or an outline that matplotlib does not write.
    """
    source = ElementTree.fromstring(clean_text(svg[svg.index("<svg") :]))  # noqa: S314 - our own document
    document = _Document(figure_id, colours)
    document.gather(source)
    leaves = _convert(source, document, "")
    for leaf in leaves:
        if leaf.tag == "use":
            leaf.set("href", f"#{document.link(leaf.attrib['href'])}")
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "class": f"plot {kind}", "role": "img"})
    root.set("aria-labelledby", f"{figure_id}-t {figure_id}-d")
    root.set("viewBox", " ".join(svg_path.number(float(v)) for v in source.get("viewBox", "0 0 1 1").split()))
    root.attrib.update(ROOT)
    for tag, suffix, text in (("title", "t", title), ("desc", "d", description)):
        ElementTree.SubElement(root, tag, {"id": f"{figure_id}-{suffix}"}).text = clean_text(text)
    if document.definitions:
        ElementTree.SubElement(root, "defs").extend(document.definitions)
    root.extend(_group(leaves))
    # Text and attributes hold no bare >, so this only closes elements.
    return Markup(ElementTree.tostring(root, encoding="unicode").replace(" />", "/>"))  # noqa: S704 - written by an XML writer


def _convert(element: Element, document: _Document, clip: str) -> list[Element]:
    """Return the drawn shapes inside `element` one after the other, each with all of its attributes."""
    if element.tag in {"g", "svg"}:
        clip = element.get("clip-path", clip)
        name = element.get("id", "")
        found = [leaf for child in element for leaf in _convert(child, document, clip)]
        if name.startswith("matplotlib.axis"):
            return _tidy_axis(found, document)
        if name.startswith(_MESH):
            return _merge(_as_strokes(found))
        if name == MERGED:
            return _merge(found)
        if name.startswith(ROWS):
            _name_rows(found, name.removeprefix(ROWS).split("-"))
        return found
    leaf = {"path": _path, "use": _use, "text": _text}.get(element.tag)
    if leaf is None:
        return []
    found = leaf(element, document)
    if found and (region := element.get("clip-path", clip)):
        _clip(found[0], region, document)
    return found


def _path(element: Element, document: _Document) -> list[Element]:
    attributes = document.attributes(element, {})
    if not element.get("d") or (attributes.get("fill") == "none" and "stroke" not in attributes):
        return []
    return [Element("path", {**attributes, "d": element.get("d", "")})]


def _use(element: Element, document: _Document) -> list[Element]:
    target = element.get("href", "").removeprefix("#")
    shape = document.targets.get(target)
    if shape is None:
        return []
    known = {n.strip(): v.strip() for n, _, v in (p.partition(":") for p in element.get("style", "").split(";"))}
    attributes = document.attributes(shape, {n: v for n, v in known.items() if n in _DEFAULTS})
    place = {"x": element.get("x", "0"), "y": element.get("y", "0"), "href": target}
    return [Element("use", {**attributes, **place})]


def _text(element: Element, document: _Document) -> list[Element]:
    words = "".join(element.itertext())
    if not words.strip():
        return []
    attributes = document.attributes(element, {})
    turn = element.get("transform", "")
    values = [float(v) for v in _NUMBER.findall(turn)]
    if turn.startswith("translate"):
        x, y, angle = values[0], values[1], values[2] if "rotate" in turn else 0.0
    else:
        x, y = (float(element.get(name, "0")) for name in "xy")
        angle = values[0] if turn.startswith("rotate") else 0.0
    place = {"x": svg_path.number(x), "y": svg_path.number(y)}
    if angle:
        place["transform"] = f"rotate({svg_path.number(angle)} {place['x']} {place['y']})"
    leaf = Element("text", {**attributes, **place})
    leaf.text = words
    return [leaf]


def _clip(leaf: Element, region: str, document: _Document) -> None:
    """Clip `leaf` unless it lies inside of the region anyway."""
    if leaf.tag == "text" or (target := _LINK.match(region)) is None or target[1] not in document.clips:
        return
    left, top, right, bottom = document.clips[target[1]]
    inside = _box(leaf)
    room = _MARKER_ROOM if leaf.tag == "use" else -0.2
    if inside[0] < left + room or inside[1] < top + room or inside[2] > right - room or inside[3] > bottom - room:
        leaf.set("clip-path", f"url(#{document.link(target[1])})")


def _box(element: Element) -> tuple[float, float, float, float]:
    if element.tag == "path":
        return svg_path.bounds(svg_path.read_path(element.get("d", "")))
    x, y, width, height = (float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def _tidy_axis(leaves: Sequence[Element], document: _Document) -> list[Element]:
    """Return an axis as few outlines, gridlines before ticks, and then its words."""
    outlines = [_as_path(leaf, document) if leaf.tag == "use" else leaf for leaf in leaves if leaf.tag != "text"]
    return [*_merge(outlines), *(leaf for leaf in leaves if leaf.tag == "text")]


def _as_path(leaf: Element, document: _Document) -> Element:
    attributes = dict(leaf.attrib)
    steps = svg_path.read_path(document.targets[attributes.pop("href")].get("d", ""))
    moved = svg_path.shift(steps, float(attributes.pop("x")), float(attributes.pop("y")))
    return Element("path", {**attributes, "fill": "none", "d": svg_path.absolute(moved)})


def _as_strokes(leaves: Sequence[Element]) -> Sequence[Element]:
    """Return cells without edges, all of one width, as upright strokes of that width: half the bytes of rectangles."""
    boxes = [_box(leaf) for leaf in leaves]
    widths = {round(right - left, 2) for left, _, right, _ in boxes}
    if any("stroke" in leaf.attrib for leaf in leaves) or not leaves or max(widths) - min(widths) > _SAME_WIDTH:
        return leaves
    found = []
    for leaf, (left, top, right, bottom) in zip(leaves, boxes, strict=True):
        middle = (left + right) / 2
        look = {"fill": "none", "stroke": leaf.get("fill", _DEFAULTS["fill"]), "stroke-width": f"{max(widths):g}"}
        outline = svg_path.absolute([("M", (middle, top)), ("L", (middle, bottom))])
        found.append(Element("path", {**look, "d": outline}))
    return found


def _merge(leaves: Sequence[Element]) -> list[Element]:
    """Return one outline for all that look alike; only for outlines that do not overlap."""
    found: dict[tuple[tuple[str, str], ...], Element] = {}
    for leaf in leaves:
        key = tuple((name, value) for name, value in leaf.attrib.items() if name != "d")
        if key in found:
            found[key].set("d", found[key].get("d", "") + leaf.get("d", ""))
        else:
            found[key] = leaf
    return list(found.values())


def _name_rows(leaves: Sequence[Element], rows: Sequence[str]) -> None:
    """Say on each mark which row it is; where the numbers differ, none says one: better none than a wrong one."""
    marks = [leaf for leaf in leaves if leaf.tag == "use"] or [leaf for leaf in leaves if leaf.tag == "path"]
    if len(marks) == len(rows):
        for mark, row in zip(marks, rows, strict=True):
            mark.set("data-row", row)


def _group(leaves: Sequence[Element]) -> list[Element]:
    """Return the shapes with what neighbours share said once on a group."""
    found: list[Element] = []
    for shared, run in itertools.groupby(leaves, _look):
        members = [_finish(leaf) for leaf in run]
        look = dict(shared)
        # A clip on `use` would move with it, on a group it stays.
        if (len(members) > 1 and look) or (members[0].tag == "use" and "clip-path" in look):
            group = Element("g", look)
            for member in members:
                for name in look:
                    del member.attrib[name]
            group.extend(members)
            found.append(group)
        else:
            found += members
    return found


def _look(leaf: Element) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in leaf.attrib.items() if name not in _OWN))


def _finish(leaf: Element) -> Element:
    if leaf.tag == "path":
        leaf.set("d", svg_path.write_path(svg_path.read_path(leaf.get("d", ""))))
    elif leaf.tag == "use":
        for name in "xy":
            leaf.set(name, svg_path.number(float(leaf.get(name, "0"))))
    return leaf
