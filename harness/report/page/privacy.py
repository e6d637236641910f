"""What tells of a machine and of its users is left out: folders, user names, host names. Pure, and the same everywhere.

A path keeps its last part (``…/train.py``), a home folder nothing (``…``), an address its scheme, port and path where
its host is this machine's (``http://…:8000/v1``). What only looks like one stays: ``tokens/s``, ``org/model``,
``pass@1``, ``https://arxiv.org/abs/2101.03961``. A user's name that stands alone, without a path, an ``@`` or the word
``user`` before it, cannot be told from any other word.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TypeVar

from harness.report.page.escapes import MAX_CHARACTERS, shorten, show_controls
from harness.report.page.texts import is_unchanged, walk_texts

T = TypeVar("T")
HIDDEN = "…"
# A name may stand across the place where a long text is cut, so a text is read so far beyond it: the longest path that
# common systems allow.
_OVERLAP = 4096
_SEPARATOR = r"(?>[/\\]|%2[fF]|%5[cC])++"  # possessive here and below: a hostile text must not make it slow
_FIRST = rf"(?<![/\\])(?<!%2f)(?<!%5c){_SEPARATOR}"  # a run of them is tried once, from where it begins
_END = r"\s\"'`<>|*?,;()\[\]{}"
_NAME = rf"[^{_END}/\\:%…]+"
_SPACED = rf"{_NAME}(?:[ ]{_NAME}){{0,3}}"  # a first and a last name, where a separator follows at once
_HOMES = r"(?:home|users|profiles|documents\ and\ settings)"
_MAYBE = re.compile(r"[/\\@~%]|user|login|logname|host|\.local|\.lan\b|\.internal|:\d", re.IGNORECASE)
_PATTERN = re.compile(
    rf"""
    (?P<url>\b(?!file:[/\\])(?P<scheme>[a-z][a-z0-9+.-]{{0,30}}+)://(?P<place>[^{_END}/\\]*+)(?P<rest>[^{_END}:@]*+))
    | (?P<quote>["'`])(?P<quoted>(?:[A-Za-z]:[/\\]|\\\\|/(?=[^"'`\n/]+/)|~)[^"'`\n]*)(?P=quote)
    | (?P<home>(?<![/\\])(?<!%2f)(?<!%5c)(?:\bfile:|[A-Za-z]:|(?<![A-Za-z0-9])\.{{0,2}}+)?+
        (?:{_SEPARATOR}[^{_END}/\\:%]++){{0,20}}?
        (?:{_SEPARATOR}|(?<![A-Za-z0-9])){_HOMES}{_SEPARATOR}(?:{_SPACED}(?={_SEPARATOR})|{_NAME})
        (?P<below>(?:{_SEPARATOR}[^{_END}/\\:%]*)*))
    | (?P<file>\bfile:{_SEPARATOR}[^{_END}]*)
    | (?P<windows>(?<![A-Za-z0-9])[A-Za-z]:\\++(?:[^{_END}\\/:]++(?:[ ][^{_END}\\/:]++){{0,3}}\\++)*[^{_END}\\/:]*+
        | (?<!\\)\\\\[^{_END}\\/:]++(?:\\++[^{_END}\\/:]++)+)
    | (?P<tilde>(?<![\w~])~(?:[A-Za-z_][\w.-]*)?(?:/[^{_END}:]*)?(?=[\s"'`,:;)\]}}]|$))
    | (?P<posix>(?<![\w.…/%~<-])/{{1,2}}(?!v\d+/|api/)[^{_END}/:]++(?:/++[^{_END}/:]*+)++)
    | (?P<mail>(?<![\w.+@-])[\w.+-]+@(?!\d|(?:main|master|latest|head|[0-9a-f]{{7,40}})\b)[\w-]+(?:\.[\w-]+)*(?::\d+)?)
    | (?P<named>\b(?:(?:user|logname|login|host)=|(?:user|host)[_-]?name\s*[=:])(?P<says>\s*["'`]?)[^{_END}]+)
    | (?P<host>(?<![\w.-])(?:[A-Za-z0-9][\w-]*\.)+(?:local|localdomain|lan|internal|intranet)\b
        | (?<![\w.-])(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?=:\d)|(?<![\w.-])192\.168\.\d{{1,3}}\.\d{{1,3}}\b)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HOME = re.compile(rf"{_FIRST}{_HOMES}{_SEPARATOR}", re.IGNORECASE)
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\]", re.IGNORECASE)
_PUBLIC = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", re.IGNORECASE)
_OWN = re.compile(r".*\.(?:local|localdomain|lan|internal|intranet|corp|home)", re.IGNORECASE)


def scrub_inputs(value: T, *, with_paths: bool = False) -> T:
    """Return `value` (records, results, tuples, mappings) whose texts name no path, user or host of the machine.

    Control characters become escapes and long texts are cut, also where `with_paths` keeps the names. What holds
    nothing to change comes back as it is; numbers are never touched. Call it once, after judging, so that what differs
    is not pooled because it reads alike.
    """
    return value if is_clean(value, with_paths=with_paths) else walk_texts(value, _choose(with_paths))


def is_clean(value: object, *, with_paths: bool = False) -> bool:
    """Return whether `scrub_inputs` has nothing to change in `value`."""
    return is_unchanged([value], _choose(with_paths))


def scrub_text(text: str) -> str:
    """Return `text` without the paths, users and hosts that it names."""
    return _PATTERN.sub(_replace, text) if _MAYBE.search(text) else text


def _choose(with_paths: bool) -> Callable[[str], str]:
    return _clean_all if with_paths else _clean


@functools.lru_cache(maxsize=65536)
def _clean(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return show_controls(scrub_text(text))
    return show_controls(shorten(text, _scrub_beginning(text)))


def _scrub_beginning(text: str) -> str:
    """Return the first `MAX_CHARACTERS` of `text` scrubbed; a name that stands across their end is left out whole."""
    kept: list[str] = []
    done = 0
    for match in _PATTERN.finditer(text[: MAX_CHARACTERS + _OVERLAP]):
        if match.start() >= MAX_CHARACTERS:
            break
        kept += (text[done : match.start()], _replace(match))
        done = match.end()
    return "".join((*kept, text[done : max(done, MAX_CHARACTERS)]))


def _clean_all(text: str) -> str:
    return show_controls(shorten(text))


def _replace(match: re.Match[str]) -> str:  # noqa: PLR0911 - one answer for each kind of name
    text = match.group()
    if match["url"] is not None:
        return _hide_host(match)
    if match["quoted"] is not None:
        hidden = _hide_path(match["quoted"])
        return f"{match['quote']}{hidden}{match['quote']}"
    if match["home"] is not None:
        last = _last_part(match["below"])
        return ("file://" if text[:5].lower() == "file:" else "") + (f"{HIDDEN}/{last}" if last else HIDDEN)
    if match["file"] is not None:
        return f"file://{_hide_path(text.partition(':')[2])}"
    if match["mail"] is not None:
        return f"{HIDDEN}@{HIDDEN}"
    if match["named"] is not None:
        return text[: match.end("says") - match.start()] + HIDDEN
    if match["host"] is not None:
        return text if _LOOPBACK.fullmatch(text) else HIDDEN
    return _hide_path(text)


def _hide_host(match: re.Match[str]) -> str:
    scheme, place, rest = match["scheme"], match["place"], match["rest"]
    place = place.rpartition("@")[2]
    host, _, port = place.rpartition(":") if re.search(r":\d*$", place) else (place, "", "")
    kept = _LOOPBACK.fullmatch(host) or (_PUBLIC.fullmatch(host) and not _OWN.fullmatch(host) and not port)
    address = place if kept else f"{HIDDEN}:{port}" if port else HIDDEN
    return f"{scheme}://{address}{rest if kept or not _HOME.search(rest) else f'/{_hide_path(rest)}'}"


def _hide_path(path: str) -> str:
    below = re.search(rf"(?:^|{_FIRST}){_HOMES}{_SEPARATOR}[^/\\%]+(?P<below>.*)", path, re.IGNORECASE | re.DOTALL)
    tilde = re.match(r"~[^/\\]*(?P<below>.*)", path, re.DOTALL)
    found = below or tilde
    last = _last_part(found["below"] if found else path)
    return f"{HIDDEN}/{last}" if last else HIDDEN


def _last_part(path: str) -> str:
    parts = [part for part in re.split(_SEPARATOR, path) if part]
    return parts[-1] if parts else ""
