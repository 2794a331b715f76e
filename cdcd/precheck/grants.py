"""Read SHOW GRANTS, and say which privileges an account lacks for its part in a link."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cdcd.model.table import TableName
from cdcd.sql import quote

READ = ("SELECT",)
# Without TRIGGER a server hides a table's triggers.
WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER")
CHANGE_SCHEMA = ("CREATE", "ALTER", "DROP", "INDEX", "REFERENCES")
KEEP_CHECKPOINTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE")

_NAME = r"(`(?:[^`]|``)*`|\*)"
_GRANT = re.compile(rf"GRANT (?P<privileges>.+?) ON (?:TABLE )?{_NAME}\.{_NAME} TO ", re.DOTALL)
_PRIVILEGE = re.compile(r"\s*([A-Z][A-Z_ ]*?)\s*(\([^)]*\))?\s*(?:,|$)")


@dataclass(frozen=True, slots=True)
class Grant:
    """One line: privileges on everything, a pattern of databases, or one table."""

    privileges: frozenset[str]
    database: re.Pattern[str] | None  # None: all databases
    table: str  # "": all tables

    def covers(self, name: TableName) -> bool:
        """Return whether the line speaks of this table; ("", "") stands for the server as a whole."""
        if self.database is None:
            return True
        return bool(self.database.fullmatch(name[0])) and self.table in ("", name[1])


class Grants:
    """Everything that an account may do, its active roles included."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._grants = tuple(grants)

    @classmethod
    def parse(cls, lines: Iterable[str], synonyms: Mapping[str, str]) -> Grants:
        """Read the rows of SHOW GRANTS. Roles, routines and single columns give nothing that a link needs.

        ``synonyms`` are the names of privileges that other versions of the server print.
        """
        return cls(grant for line in lines if (grant := _parse(line, synonyms)))

    def allow(self, privilege: str, name: TableName = ("", "")) -> bool:
        """Return whether the account has the privilege on a table, or on the server as a whole."""
        return any(
            grant.covers(name) and not {privilege, "ALL PRIVILEGES"}.isdisjoint(grant.privileges)
            for grant in self._grants
        )

    def missing(self, privileges: Iterable[str], names: Iterable[TableName]) -> dict[TableName, tuple[str, ...]]:
        """Return the privileges that the account lacks, by table."""
        wanted = tuple(privileges)
        lacks = {name: tuple(p for p in wanted if not self.allow(p, name)) for name in names}
        return {name: privileges for name, privileges in lacks.items() if privileges}


def by_database(
    missing: dict[TableName, tuple[str, ...]],
) -> Iterator[tuple[str, tuple[str, ...], list[str]]]:
    """Group what is missing as (database, privileges, tables): one statement each fixes it."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (database, table), privileges in missing.items():
        groups[database, privileges].append(table)
    for (database, privileges), tables in groups.items():
        yield database, privileges, tables


def statement(privileges: Iterable[str], database: str, account: str) -> str:
    """Return the GRANT that gives privileges on a whole database, whose name is a pattern there."""
    pattern = quote.identifier(re.sub(r"([_%\\])", r"\\\1", database)) if database else "*"
    return f"GRANT {', '.join(privileges)} ON {pattern}.* TO {account};"


def _parse(line: str, synonyms: Mapping[str, str]) -> Grant | None:
    if not (match := _GRANT.match(line)):
        return None
    database, table = match[2], match[3]
    privileges = frozenset(
        synonyms.get(name, name) for name, columns in _PRIVILEGE.findall(match["privileges"]) if not columns
    )
    if database == "*":
        return Grant(privileges, None, "")
    name = _unquote(database)
    # The database of a grant on one table is a plain name; that of a grant on all tables is a LIKE pattern.
    pattern = _like(name) if table == "*" else re.compile(re.escape(name))
    return Grant(privileges, pattern, "" if table == "*" else _unquote(table))


def _unquote(name: str) -> str:
    return name[1:-1].replace("``", "`")


def _like(pattern: str) -> re.Pattern[str]:
    wildcards = {"%": ".*", "_": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return re.compile("".join(wildcards.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)
