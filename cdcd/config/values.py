"""Readers of single values: what one key may hold, and in which unit."""

from __future__ import annotations

import re

from cdcd.config.grammar import Place, Reader, choices, shown
from cdcd.model.position import Position
from cdcd.model.table import SYSTEM_DATABASES

NAME_RULE = "1 to 64 of A-Z a-z 0-9 _ . -"
BYTES_MIN = 64 * 1024
BYTES_MAX = 1024**3

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BYTE_SIZE = re.compile(r"(\d{1,15}) ?(KiB|MiB|GiB)", re.ASCII)
_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_FILE_POSITION = re.compile(r"[^\s:]+\.\d+:\d+", re.ASCII)
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]]+):(\d{1,5})", re.ASCII)
# The first dot outside brackets splits a rule; the table's name may hold more of them.
_RULE = re.compile(r"((?:\[[^\]]*\]|[^.\[])+)\.(.+)", re.DOTALL)
_BRACKETS = re.compile(r"\[[^\]]*\]?", re.DOTALL)


def is_name(name: str) -> bool:
    """Return whether a site or a link may have this name."""
    return bool(_NAME.fullmatch(name))


def text(value: object, _place: Place) -> str:
    """Read a text, which may be empty."""
    if not isinstance(value, str):
        raise ValueError(f"must be text (got {shown(value)})")
    return value


def filled(value: object, place: Place) -> str:
    """Read a text that says something."""
    if not text(value, place).strip():
        raise ValueError("must not be empty")
    return text(value, place)


def secret(value: object, _place: Place) -> str:
    """Read a text that no message may show."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def flag(value: object, _place: Place) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false (got {shown(value)})")
    return value


def whole(low: int, high: int | None = None) -> Reader:
    """Read a whole number between two bounds, both included."""
    bounds = f"of at least {low}" if high is None else f"from {low} to {high}"

    def read(value: object, _place: Place) -> int:
        if type(value) is int and low <= value and (high is None or value <= high):
            return value
        raise ValueError(f"must be a whole number {bounds} (got {shown(value)})")

    return read


def seconds(low: float, high: float) -> Reader:
    """Read a number of seconds between two bounds, both included."""

    def read(value: object, _place: Place) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"must be a number of seconds from {low:g} to {high:g} (got {shown(value)})")

    return read


def byte_size(value: object, _place: Place) -> int:
    """Read a number of bytes, or a text with a unit: "64KiB", "16MiB", "1GiB"."""
    size = value
    if isinstance(value, str) and (match := _BYTE_SIZE.fullmatch(value)):
        size = int(match[1]) * _UNITS[match[2]]
    if type(size) is not int:
        raise ValueError(f'must be a number of bytes, or a text as "16MiB" (got {shown(value)})')
    if not BYTES_MIN <= size <= BYTES_MAX:
        raise ValueError(f"must be from 64KiB to 1GiB (got {shown(value)})")
    return size


def one_of(*allowed: str) -> Reader:
    """Read one of a few texts."""

    def read(value: object, _place: Place) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        raise ValueError(f"must be {choices(allowed)} (got {shown(value)})")

    return read


def only_empty(reason: str) -> Reader:
    """Read a key that must stay empty, and say why."""

    def read(value: object, _place: Place) -> str:
        if value != "":
            raise ValueError(f'must be "", {reason} (got {shown(value)})')
        return ""

    return read


def listen(value: object, place: Place) -> str:
    """Read ``host:port``, with an IPv6 address in brackets, or nothing."""
    address = text(value, place)
    match = _LISTEN.fullmatch(address)
    if address and not (match and 1 <= int(match[2]) <= 65535):
        raise ValueError(f'must be "host:port", or "" for no listener (got {shown(value)})')
    return address


def start(value: object, place: Place) -> str:
    """Read where a link without a checkpoint begins."""
    position = filled(value, place)
    if position not in ("now", "earliest") and not _FILE_POSITION.fullmatch(position):
        try:
            Position.parse(position)
        except ValueError:
            raise ValueError(
                'must be "now", "earliest", GTIDs as "0-1-100,1-1-7" or a file and an offset as '
                f'"binlog.000003:1234" (got {shown(value)})'
            ) from None
    return position


def rule(value: object, place: Place) -> str:
    """Read a pattern of tables: ``database.table`` with ``*``, ``?``, ``[abc]``, ``[a-z]``, ``[!abc]``."""
    _split(pattern := text(value, place))
    return pattern


def rename(old: str, new: str) -> str:
    """Check one renaming, of a table (``a.b`` to ``c.d``) or of a database (``a.*`` to ``c``)."""
    database, table = _split(old)
    if table == "*":
        if not new or set(new) & set(".*?["):
            raise ValueError(f'renames a database, so it must be the name of one, as "new" (got {shown(new)})')
        _refuse_wildcards(database)
        _refuse_system_database(new)
    else:
        _refuse_wildcards(old)
        target, _ = _split(new)
        _refuse_wildcards(new)
        _refuse_system_database(target)
    return new


def where(name: str, condition: str) -> str:
    """Check one row filter's table; the condition itself needs the table's columns."""
    _split(name)
    _refuse_wildcards(name)
    if not condition.strip():
        raise ValueError("must not be empty")
    return condition


def column(value: object, place: Place) -> str:
    """Read the name of a column: ``database.table.column``."""
    name = text(value, place)
    if len(parts := name.split(".")) < 3 or not all(parts):
        raise ValueError(f'must be of the form "database.table.column" (got {shown(value)})')
    if set(name) & set("*?["):
        raise ValueError(f"must name one column, without wildcards (got {shown(value)})")
    return name


def _split(pattern: str) -> tuple[str, str]:
    if not (match := _RULE.fullmatch(pattern)):
        raise ValueError(f'must be of the form "database.table" (got {shown(pattern)})')
    for piece in _BRACKETS.findall(match[2]) + _BRACKETS.findall(match[1]):
        _check_brackets(piece)
    return match[1], match[2]


def _check_brackets(piece: str) -> None:
    if not (match := re.fullmatch(r"\[!?([^\]]+)\]", piece, re.DOTALL)):
        raise ValueError(f"has an empty or unclosed bracket at {shown(piece)}")
    for first, last in re.findall(r"(.)-(.)", match[1], re.DOTALL):
        if first > last:
            raise ValueError(f"has a range that runs backwards: [{first}-{last}]")


def _refuse_wildcards(name: str) -> None:
    if set(name) & set("*?["):
        raise ValueError(f"must name one table or database, without wildcards (got {shown(name)})")


def _refuse_system_database(name: str) -> None:
    if name.lower() in SYSTEM_DATABASES:
        raise ValueError(f"would write into {shown(name)}, which is not for user tables")
