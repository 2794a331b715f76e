"""How a tree of tables is read against what may stand in it, so that every mistake is found in one pass.

A *reader* takes a value as TOML gives it, and the place where it stands. It returns what it read, or raises
ValueError with what must be so, or reports at places within the value and returns what is left of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Place:
    """A place in the file, and the list of mistakes that all places share."""

    def __init__(self, path: str = "", problems: list[str] | None = None) -> None:
        self.path = path
        self.problems: list[str] = [] if problems is None else problems

    def key(self, name: str) -> Place:
        """Return the place of a key of this table."""
        quoted = name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
        return Place(f"{self.path}.{quoted}" if self.path else quoted, self.problems)

    def item(self, index: int) -> Place:
        """Return the place of an element of this list."""
        return Place(f"{self.path}[{index}]", self.problems)

    def report(self, problem: str) -> None:
        """Note a mistake here."""
        self.problems.append(f"{self.path}: {problem}" if self.path else problem)

    def read(self, reader: Reader, value: object) -> Any:
        """Return what ``reader`` makes of the value, or None after noting why it is refused."""
        try:
            return reader(value, self)
        except ValueError as error:
            self.report(str(error))
            return None


Reader = Callable[[object, Place], Any]


def section(keys: Mapping[str, Reader], *required: str) -> Reader:
    """Read a table with these keys; what is not given is absent from the result, what is wrong is None."""

    def read(value: object, place: Place) -> dict[str, Any]:
        given = _table(value)
        for name in required:
            if name not in given:
                place.key(name).report("is missing")
        results = {}
        for name, inner in given.items():
            if name in keys:
                results[name] = place.key(name).read(keys[name], inner)
            else:
                kind = "section" if isinstance(inner, dict) else "key"
                place.key(name).report(f"unknown {kind}{suggestion(name, keys)}")
        return results

    return read


def named(name_is_valid: Callable[[str], object], rule: str, entry: Reader) -> Reader:
    """Read a table of at least one freely named entry; ``rule`` says what a name must be.

    An entry that is wrong as a whole is None in the result.
    """

    def read(value: object, place: Place) -> dict[str, Any]:
        entries = _table(value)
        if not entries:
            raise ValueError("must hold at least one section")
        for name in entries:
            if not name_is_valid(name):
                place.key(name).report(f"a name must be {rule}")
        return {name: place.key(name).read(entry, inner) for name, inner in entries.items()}

    return read


def pairs(pair: Callable[[str, str], str]) -> Reader:
    """Read a table of text to text; ``pair`` checks one of them and returns the value to keep."""

    def entry(name: str) -> Reader:
        def read(value: object, _place: Place) -> str:
            if not isinstance(value, str):
                raise ValueError(f"must be text (got {shown(value)})")
            return pair(name, value)

        return read

    def read(value: object, place: Place) -> dict[str, Any]:
        return {name: place.key(name).read(entry(name), inner) for name, inner in _table(value).items()}

    return read


def each(element: Reader, *, at_least: int = 0) -> Reader:
    """Read a list without repetitions."""

    def read(value: object, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list (got {shown(value)})")
        if len(value) < at_least:
            raise ValueError("must not be empty")
        for index, inner in enumerate(value):
            if inner in value[:index]:
                place.item(index).report(f"stands twice in the list ({shown(inner)})")
        return tuple(place.item(index).read(element, inner) for index, inner in enumerate(value))

    return read


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question that names what was probably meant, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


def choices(values: Collection[str]) -> str:
    """Write choices as a sentence has them."""
    quoted = [f'"{value}"' for value in values]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def shown(value: object) -> str:
    """Write a value as the file has it, in brief. Never call it with a secret."""
    match value:
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bool():
            return str(value).lower()
    return str(value)


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError("must be a section")
    return value
