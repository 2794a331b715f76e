"""Run a schema change on the target, once, announced so that the reverse link does not send it back.

A statement commits by itself, so no marker can share its transaction. First the announcement is committed:
the connection that will run it, what it changes, and a digest of the objects as they are. Then it runs. A run
that finds its announcement already there ends that connection, and compares: objects that changed since say
that it has run.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass

import structlog

from cdcd.apply.careful import explain
from cdcd.apply.marker import check, refusal
from cdcd.binlog.query import Query
from cdcd.errors import AccessDenied, ServerError
from cdcd.model.table import TableName
from cdcd.mysql import quote
from cdcd.mysql.flavor import MARIADB
from cdcd.mysql.session import Session

log = structlog.get_logger()

KEPT_DAYS = 7
_MISSING = frozenset({1049, 1051, 1146})
_NO_SUCH_SESSION = 1094
# Inserts move it, and they go on while the link does not run.
_NEXT_ID = re.compile(rb" AUTO_INCREMENT=\d+")
# What these do can leave every definition as it was.
_REPLACES_ROWS = re.compile(rb"\bOR\s+REPLACE\b|\bPARTITION\b|^\s*TRUNCATE\b|^\s*RENAME\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Change:
    """One schema change as it will run on the target."""

    link: str
    origin: str
    gtid: str
    verb: str
    objects: tuple[TableName, ...]  # names on the target
    digest: str
    statement: bytes  # in the charset of the source's client
    query: Query


async def carry(session: Session, change: Change, fence: bytes) -> bool:
    """Run the change unless an earlier run did; return whether it ran now. ``fence`` is a marker statement.

    Raises Fenced, ApplyFailed, TargetLost, TargetBusy.
    """
    await settle(session)
    announced = await session.fetch_one(
        "SELECT state_before, session FROM cdcd.ddl"
        f" WHERE link = {quote.text(change.link)} AND gtid = {quote.text(change.gtid)}"
    )
    if announced is not None:
        await _end(session, int(announced[1]))
    state = await _state(session, change)
    if announced is not None and _bytes(announced[0]).decode() != state:
        log.info("ddl_found_done", verb=change.verb, gtid=change.gtid)
        return False
    await _announce(session, change, state, fence)
    try:
        await session.execute(_settings(change.query))
        await session.execute(change.statement)
    except ServerError as error:
        raise explain(error).at(statement=str(change.query), gtid=change.gtid) from error
    return True


async def settle(session: Session) -> None:
    """Undo what the last statement's settings left in the session."""
    for setting in MARIADB.writer_settings:
        await session.execute(setting)


async def _end(session: Session, earlier: int) -> None:
    """End the connection of an earlier run: its statement may still wait there for a lock."""
    query = (
        f"SELECT 1 FROM information_schema.processlist WHERE id = {earlier} AND id <> CONNECTION_ID()"
        " AND user = SUBSTRING_INDEX(USER(), '@', 1)"
    )
    while await session.fetch_one(query):
        log.warning("old_session_ended", session=earlier)
        try:
            await session.execute(f"KILL {earlier}")
        except ServerError as error:
            if error.code != _NO_SUCH_SESSION:
                raise
        await asyncio.sleep(0.1)


async def _announce(session: Session, change: Change, state: str, fence: bytes) -> None:
    objects = "\n".join(f"{database}\t{table}" for database, table in change.objects)
    values = ",".join(
        quote.text(value)
        for value in (change.link, change.gtid, change.origin, change.verb, objects, change.digest, state)
    )
    with refusal():
        answers = await session.execute_many(
            [
                "BEGIN",
                "REPLACE INTO cdcd.ddl (link,gtid,origin,verb,objects,digest,state_before,session,announced_at)"
                f" VALUES ({values},CONNECTION_ID(),NOW(6))",
                fence,
                f"DELETE FROM cdcd.ddl WHERE link = {quote.text(change.link)}"
                f" AND announced_at < NOW(6) - INTERVAL {KEPT_DAYS} DAY",
            ]
        )
    check(answers[2])
    await session.execute("COMMIT")


def _settings(query: Query) -> str:
    """The settings of the source's session that decide what the statement means."""
    parts = [
        f"foreign_key_checks = {int(query.foreign_key_checks)}",
        f"explicit_defaults_for_timestamp = {int(query.explicit_defaults_for_timestamp)}",
    ]
    if query.sql_mode is not None:
        parts.append(f"sql_mode = {query.sql_mode}")
    if query.charset is not None:
        client, connection, server = query.charset
        parts += [f"character_set_client = {client}", f"collation_connection = {connection}"]
        parts.append(f"collation_server = {server}")
    if query.time_zone:
        parts.append(f"time_zone = {quote.text(query.time_zone)}")
    return "SET " + ", ".join(parts)


async def _state(session: Session, change: Change) -> str:
    """Digest the definitions of tables and databases as they are now, and which tables they are."""
    digest = hashlib.sha256()
    for database, table in change.objects:
        query = (
            f"SHOW CREATE TABLE {quote.table((database, table))}"
            if table
            else f"SHOW CREATE DATABASE {quote.identifier(database)}"
        )
        try:
            definition = await session.fetch_one(query)
        except ServerError as error:
            if error.code not in _MISSING:
                raise
            definition = None
        text = _NEXT_ID.sub(b"", _bytes(definition[1])) if definition else None
        digest.update(repr((database, table, text)).encode())
    if _REPLACES_ROWS.search(change.statement):
        digest.update(repr([await _identity(session, name) for name in change.objects]).encode())
    return digest.hexdigest()


async def _identity(session: Session, name: TableName) -> list[tuple[object, ...]]:
    """Return InnoDB's numbers of a table and its partitions, where this account may see them (PROCESS)."""
    database, table = (f"CAST(CONVERT(_utf8mb4 {quote.text(part)} USING filename) AS BINARY)" for part in name)
    file = f"CONCAT({database}, '/', {table})"
    try:
        return await session.fetch(
            "SELECT CAST(name AS BINARY), table_id FROM information_schema.innodb_sys_tables"
            f" WHERE CAST(name AS BINARY) = {file} OR CAST(name AS BINARY) LIKE CONCAT({file}, '#P#%') ORDER BY 1"
        )
    except AccessDenied:
        return []


def _bytes(value: bytes | str) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
