"""cdcd's own tables in database ``cdcd`` of a target: their definitions, their layout's version, and upgrades.

A table's comment says which layout it has, so that a table and its version change in one statement. Tables without
one are of layout 1. A newer cdcd upgrades what it meets without touching a row; an older one refuses. A table whose
engine cannot roll back, or that lacks a column or a key, is refused too: nothing could be exactly once on it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import structlog

from cdcd.errors import AccessDenied, LayoutMismatch, ServerError
from cdcd.mysql.session import Session
from cdcd.sql import quote

log = structlog.get_logger()

LAYOUT = 3
_COMMENT = f"cdcd layout {LAYOUT}"
_COLUMN = re.compile(r"^  ([a-z_]+) +([A-Z]+(?:\(\d+\))?(?: UNSIGNED)?)", re.MULTILINE)
_KEY = re.compile(r"^  ((?:PRIMARY|UNIQUE) KEY ?([a-z_]*) \(([a-z_, ]+)\))", re.MULTILINE)
_VERSION = re.compile(r"cdcd layout (\d+)")
_OPTIONS = f"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='{_COMMENT}'"

CREATE_DATABASE = "CREATE DATABASE IF NOT EXISTS cdcd CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
COLUMNS = {
    # One row a writer. The last five say where the log event lies that ``position`` ends with, and on which server.
    # The epoch is a part of the key: an update event that names an earlier one finds no row, which is an error.
    "checkpoint": """\
  link          VARCHAR(64)       NOT NULL,
  slot          SMALLINT UNSIGNED NOT NULL,
  origin        VARCHAR(64)       NOT NULL,
  position      MEDIUMBLOB        NOT NULL,
  applied       MEDIUMBLOB        NOT NULL,
  epoch         BIGINT UNSIGNED   NOT NULL,
  updated_at    TIMESTAMP(6)      NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  batch         BIGINT UNSIGNED   NOT NULL,
  session       BIGINT UNSIGNED   NOT NULL,
  source_server VARCHAR(255)      NOT NULL DEFAULT '',
  log_file      VARCHAR(255)      NOT NULL DEFAULT '',
  log_offset    BIGINT UNSIGNED   NOT NULL DEFAULT 0,
  event_time    BIGINT UNSIGNED   NOT NULL DEFAULT 0,
  log_began     BIGINT UNSIGNED   NOT NULL DEFAULT 0,
  PRIMARY KEY (link, slot, epoch),
  UNIQUE KEY slot (link, slot)""",
    # Announcements of schema changes that a link is about to run.
    "ddl": """\
  link         VARCHAR(64)     NOT NULL,
  gtid         VARCHAR(64)     NOT NULL,
  origin       VARCHAR(64)     NOT NULL,
  session      BIGINT UNSIGNED NOT NULL,
  verb         VARCHAR(32)     NOT NULL,
  objects      MEDIUMTEXT      NOT NULL,
  digest       CHAR(64)        NOT NULL,
  state_before CHAR(64)        NOT NULL,
  announced_at TIMESTAMP(6)    NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (link, gtid)""",
    # That a link has run, and how far: kept on its target, and on its source where that is another link's target.
    "link": """\
  link          VARCHAR(64)  NOT NULL,
  source        VARCHAR(64)  NOT NULL,
  target        VARCHAR(64)  NOT NULL,
  source_server VARCHAR(255) NOT NULL,
  target_server VARCHAR(255) NOT NULL,
  rules         MEDIUMTEXT   NOT NULL,
  position      MEDIUMBLOB   NOT NULL,
  failed_gtid   VARCHAR(64)  NOT NULL DEFAULT '',
  failure       TEXT         NOT NULL DEFAULT '',
  updated_at    TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (link, source, target)""",
    # Transactions that an operator has passed over, and what they held.
    "skipped": """\
  link       VARCHAR(64)  NOT NULL,
  gtid       VARCHAR(64)  NOT NULL,
  content    MEDIUMTEXT   NOT NULL,
  skipped_by VARCHAR(255) NOT NULL,
  skipped_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (link, gtid)""",
}
# From any earlier layout; of the other tables only the comment changes.
_UPGRADES = {
    "checkpoint": (
        "ADD COLUMN IF NOT EXISTS source_server VARCHAR(255) NOT NULL DEFAULT '',"
        " ADD COLUMN IF NOT EXISTS log_file VARCHAR(255) NOT NULL DEFAULT '',"
        " ADD COLUMN IF NOT EXISTS log_offset BIGINT UNSIGNED NOT NULL DEFAULT 0,"
        " ADD COLUMN IF NOT EXISTS event_time BIGINT UNSIGNED NOT NULL DEFAULT 0,"
        " ADD COLUMN IF NOT EXISTS log_began BIGINT UNSIGNED NOT NULL DEFAULT 0,"
        " DROP PRIMARY KEY, ADD PRIMARY KEY (link, slot, epoch), ADD UNIQUE KEY IF NOT EXISTS slot (link, slot)"
    ),
    "ddl": "MODIFY COLUMN objects MEDIUMTEXT NOT NULL",
}


class Found(NamedTuple):
    """One of our tables, as a server has it."""

    is_transactional: bool
    comment: str
    columns: frozenset[str]
    keys: frozenset[tuple[str, ...]]  # the columns of those that are unique

    @property
    def layout(self) -> int:
        """The version of its layout."""
        match = _VERSION.fullmatch(self.comment)
        return int(match[1]) if match else 1

    @property
    def has_place(self) -> bool:
        """Whether it says where in the source's log a position lies, as from layout 2 on."""
        return "log_file" in self.columns


class UniqueKey(NamedTuple):
    """One that a table of ours must have."""

    name: str
    columns: tuple[str, ...]
    definition: str


async def prepare(session: Session) -> None:
    """Create cdcd's database and tables where they are missing, and upgrade those of an earlier layout.

    Tables that are what they should be are neither touched nor logged. Raises LayoutMismatch, AccessDenied.
    """
    found = await look(session)
    if len(found) < len(COLUMNS):
        await session.execute(CREATE_DATABASE)
    for table, definition in COLUMNS.items():
        if table not in found:
            await _run(session, table, f"CREATE TABLE IF NOT EXISTS cdcd.`{table}` (\n{definition}\n) {_OPTIONS}")
        elif found[table].layout < LAYOUT:
            await _upgrade(session, table)
    await check(session)


async def check(session: Session) -> None:
    """Raise LayoutMismatch unless every table can roll back and has its columns; nothing is written."""
    found = await look(session)
    for table in COLUMNS:
        state = "is missing" if table not in found else f"is of layout {found[table].layout}, not {LAYOUT}"
        if table not in found or found[table].layout < LAYOUT:
            raise LayoutMismatch(
                f"cdcd.{table} {state}", hint="the daemon puts that right when it next runs a link to this site"
            ).at(site=session.site.name)


async def look(session: Session) -> dict[str, Found]:
    """Return which of our tables there are; nothing is written.

    Raises LayoutMismatch for what ``prepare`` cannot mend: a later layout, an engine that cannot roll back, a column
    or a key that is gone.
    """
    tables = await _read(session)
    for table, found in tables.items():
        if found.layout > LAYOUT:
            raise LayoutMismatch(
                f"cdcd.{table} is of layout {found.layout}, and this cdcd knows layouts up to {LAYOUT}",
                hint="run the cdcd that wrote it, or a later one",
            ).at(site=session.site.name)
        if wrong := _damage(table, found):
            raise LayoutMismatch(f"cdcd.{table} {wrong[0]}", hint=wrong[1]).at(site=session.site.name)
    return tables


def _damage(table: str, found: Found) -> tuple[str, str] | None:
    """Return what keeps a table from being used, and what to do; None where nothing does."""
    lacking = [name for name in columns(table) if name not in found.columns]
    if found.layout == LAYOUT and lacking:
        return f"lacks the columns {', '.join(lacking)}", "put them back as they were"
    if not found.is_transactional:
        return (
            "has an engine that cannot roll back, so nothing could be applied exactly once",
            f"ALTER TABLE cdcd.{table} ENGINE = InnoDB (see enforce_storage_engine)",
        )
    keyless = [key for key in keys(table) if key.columns not in found.keys]
    if found.layout == LAYOUT and keyless:
        listed = ", ".join(f"({', '.join(key.columns)})" for key in keyless)
        changes = ", ".join(f"DROP KEY IF EXISTS `{key.name}`, ADD {key.definition}" for key in keyless)
        return f"lacks the unique keys {listed}, by which its rows are found", f"ALTER TABLE cdcd.{table} {changes};"
    return None


async def _upgrade(session: Session, table: str) -> None:
    changes = f"{_UPGRADES[table]}, " if table in _UPGRADES else ""
    await _run(session, table, f"ALTER TABLE cdcd.`{table}` {changes}COMMENT = '{_COMMENT}'")
    log.info("layout_upgraded", table=f"cdcd.{table}", layout=LAYOUT, site=session.site.name)


async def _run(session: Session, table: str, statement: str) -> None:
    try:
        await session.execute(statement)
    except (AccessDenied, ServerError) as error:
        raise LayoutMismatch(
            f"cdcd.{table} could not be made what it must be: {error.message}",
            hint=f"mend that, or run by an account that may (enforce_storage_engine must allow InnoDB): {statement};",
        ).at(site=session.site.name) from error


async def _read(session: Session) -> dict[str, Found]:
    """Return whether each of our tables can roll back, its comment, its columns and its unique keys."""
    names = ",".join(map(quote.text, COLUMNS))
    tables = await session.fetch(
        "SELECT t.table_name, COALESCE(e.transactions, 'NO'), t.table_comment FROM information_schema.tables t"
        " LEFT JOIN information_schema.engines e ON e.engine = t.engine"
        f" WHERE t.table_schema = 'cdcd' AND t.table_name IN ({names})"
    )
    found: dict[str, set[str]] = {}
    for table, column in await session.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        f" WHERE table_schema = 'cdcd' AND table_name IN ({names})"
    ):
        found.setdefault(table, set()).add(column)
    indexes: dict[tuple[str, str], tuple[str, ...]] = {}
    for table, index, column in await session.fetch(
        "SELECT table_name, index_name, column_name FROM information_schema.statistics"
        f" WHERE table_schema = 'cdcd' AND table_name IN ({names}) AND non_unique = 0 ORDER BY 1, 2, seq_in_index"
    ):
        indexes[table, index] = (*indexes.get((table, index), ()), column)
    unique = {name: frozenset(key for (table, _), key in indexes.items() if table == name) for name, _, _ in tables}
    return {
        name: Found(can == "YES", comment, frozenset(found.get(name, ())), unique[name])
        for name, can, comment in tables
    }


def keys(table: str) -> list[UniqueKey]:
    """Return a table's unique keys, the primary key first."""
    return [
        UniqueKey(name or "PRIMARY", tuple(names.split(", ")), definition)
        for definition, name, names in _KEY.findall(COLUMNS[table])
    ]


def columns(table: str) -> dict[str, str]:
    """Return the type of each of a table's columns, in their order."""
    return {name: " ".join(kind.split()) for name, kind in _COLUMN.findall(COLUMNS[table])}
