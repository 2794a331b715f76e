"""Which tables a link carries, and what they are called on the target."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from cdcd.config.overlap import overlap
from cdcd.errors import ConfigError
from cdcd.model.table import SYSTEM_DATABASES, TableName

_ANSWERS_MAX = 65_536  # A server with more tables than this only pays for a second match.
_WILDCARDS = frozenset("*?[")

_Pattern = tuple[re.Pattern[str], re.Pattern[str]]


class Rules:
    """A link's ``tables``, ``exclude`` and ``rename``, compiled once.

    A database as a whole is the name ``(database, "")``: ``shop.*`` carries it, ``shop.a*`` does not.
    Raises ConfigError with every mistake in the rules; its paths are relative to the link.
    """

    def __init__(self, tables: Iterable[str], exclude: Iterable[str] = (), rename: Mapping[str, str] = {}) -> None:
        self._problems: list[str] = []
        tables = tuple(tables)
        self._tables = self._compile("tables", tables)
        self._exclude = self._compile("exclude", exclude)
        self._renamed_tables: dict[TableName, TableName] = {}
        self._renamed_databases: dict[str, str] = {}
        for old, new in rename.items():
            self._add_rename(old, new)
        if self._problems:
            raise ConfigError(self._problems)
        self._patterns = [_split(rule) for rule in tables]
        self._answer = lru_cache(_ANSWERS_MAX)(self._match)

    def carries(self, name: TableName) -> bool:
        """Return whether the link carries this table. Names compare case-sensitively."""
        return self._answer(name)

    def overlaps(self, other: Rules) -> bool:
        """Return whether both may carry the same table; rules with wildcards are not compared with ``exclude``."""
        for one in self._patterns:
            for two in other._patterns:
                if not all(overlap(a, b) for a, b in zip(one, two, strict=True)):
                    continue
                names = [name for name in (one, two) if not _WILDCARDS.intersection("".join(name))]
                if all(self.carries(name) and other.carries(name) for name in names):
                    return True
        return False

    def _match(self, name: TableName) -> bool:
        if name[0].lower() in SYSTEM_DATABASES:
            return False
        return _any(self._tables, name) and not _any(self._exclude, name)

    def target_name(self, name: TableName) -> TableName:
        """Return what the table is called on the target: an exact rename wins over its database's."""
        database, table = name
        return self._renamed_tables.get(name) or (self._renamed_databases.get(database, database), table)

    def _compile(self, key: str, rules: Iterable[str]) -> tuple[_Pattern, ...]:
        compiled = []
        for index, rule in enumerate(rules):
            try:
                database, table = _split(rule)
                compiled.append((_regex(database), _regex(table)))
            except ValueError as error:
                self._problems.append(f"{key}[{index}]: {rule!r} {error}")
        return tuple(compiled)

    def _add_rename(self, old: str, new: str) -> None:
        try:
            source, target = _parse_rename(old, new)
        except ValueError as error:
            self._problems.append(f"rename: {old!r} {error}")
            return
        if source[1]:
            self._renamed_tables[source] = target
        else:
            self._renamed_databases[source[0]] = target[0]


def _any(patterns: tuple[_Pattern, ...], name: TableName) -> bool:
    return any(database.fullmatch(name[0]) and table.fullmatch(name[1]) for database, table in patterns)


def _split(rule: str) -> tuple[str, str]:
    """Split at the first dot outside brackets; a dot in a database's name can be matched with ``[.]``."""
    if not (match := re.fullmatch(r"((?:\[[^\]]*\]|[^.\[])+)\.(.+)", rule, re.DOTALL)):
        raise ValueError('is not of the form "database.table"')
    return match[1], match[2]


def _parse_rename(old: str, new: str) -> tuple[TableName, TableName]:
    """Read ``a.b`` to ``c.d``, or ``a.*`` to ``c``, where both names have no table."""
    database, table = _split(old)
    whole = table == "*"
    source = (database, "" if whole else table)
    if whole and (not new or "." in new):
        raise ValueError(f"renames a whole database, so it needs the name of one, not {new!r}")
    target = (new, "") if whole else _split(new)
    if _WILDCARDS.intersection("".join(source + target)):
        raise ValueError('has a wildcard: write "a.b" = "c.d" for a table or "a.*" = "c" for a database')
    if target[0].lower() in SYSTEM_DATABASES:
        raise ValueError(f"would write into {target[0]!r}, which is not for user tables")
    return source, target


def _regex(pattern: str) -> re.Pattern[str]:
    """Translate ``* ? [abc] [a-z] [!abc]``; every other character stands for itself."""
    parts = []
    for piece in re.findall(r"\[[^\]]*\]?|.", pattern, re.DOTALL):
        match piece:
            case "*":
                parts.append(".*")
            case "?":
                parts.append(".")
            case _ if piece[0] == "[":
                parts.append(_character_class(piece))
            case _:
                parts.append(re.escape(piece))
    return re.compile("".join(parts), re.DOTALL)


def _character_class(piece: str) -> str:
    if not (match := re.fullmatch(r"\[(!?)([^\]]+)\]", piece, re.DOTALL)):
        raise ValueError(f"has an empty or unclosed bracket at {piece!r}")
    negation, members = match.groups()
    for first, last in re.findall(r"(.)-(.)", members, re.DOTALL):
        if first > last:
            raise ValueError(f"has a range that runs backwards: [{first}-{last}]")
    escaped = "".join(char if char == "-" else re.escape(char) for char in members)
    return f"[{'^' if negation else ''}{escaped}]"
