"""Run a schema change on the target, once, announced so that the reverse link does not send it back.

A statement commits by itself, so no marker can share its transaction. First the announcement is committed:
the connection that will run it, what it changes, and a digest of the objects as they are. Then it runs. A run
that finds its announcement already there compares: objects that changed since say that it has run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import structlog

from cdcd.apply.careful import explain
from cdcd.binlog.query import Query
from cdcd.errors import Fenced, ServerError
from cdcd.model.table import TableName
from cdcd.mysql import quote
from cdcd.mysql.session import Session

log = structlog.get_logger()

KEPT_DAYS = 7
_MISSING = frozenset({1049, 1051, 1146})


@dataclass(frozen=True, slots=True)
class Change:
    """One schema change as it will run on the target."""

    link: str
    origin: str
    gtid: str
    verb: str
    objects: tuple[TableName, ...]  # names on the target
    digest: str
    statement: str
    query: Query


async def carry(session: Session, change: Change, fence: bytes) -> bool:
    """Run the change unless an earlier run did; return whether it ran now. ``fence`` is a marker statement.

    Raises Fenced, ApplyFailed, TargetLost, TargetBusy.
    """
    state = await _state(session, change.objects)
    announced = await session.fetch_one(
        f"SELECT state_before FROM cdcd.ddl WHERE link = {quote.text(change.link)} AND gtid = {quote.text(change.gtid)}"
    )
    if announced is not None and _text(announced[0]) != state:
        log.info("ddl_found_done", verb=change.verb, gtid=change.gtid)
        return False
    await _announce(session, change, state, fence)
    try:
        await session.execute(_settings(change.query))
        await session.execute(change.statement.encode("utf-8", "surrogateescape"))
    except ServerError as error:
        raise explain(error).at(statement=str(change.query), gtid=change.gtid) from error
    return True


async def _announce(session: Session, change: Change, state: str, fence: bytes) -> None:
    objects = "\n".join(f"{database}\t{table}" for database, table in change.objects)
    values = ",".join(
        quote.text(value)
        for value in (change.link, change.gtid, change.origin, change.verb, objects, change.digest, state)
    )
    matched = await session.execute_many(
        [
            "BEGIN",
            "REPLACE INTO cdcd.ddl (link,gtid,origin,verb,objects,digest,state_before,session,announced_at)"
            f" VALUES ({values},CONNECTION_ID(),NOW(6))",
            fence,
            f"DELETE FROM cdcd.ddl WHERE link = {quote.text(change.link)}"
            f" AND announced_at < NOW(6) - INTERVAL {KEPT_DAYS} DAY",
        ]
    )
    if matched[2] != 1:
        await session.execute("ROLLBACK")
        raise Fenced("this run's marker matches no row")
    await session.execute("COMMIT")


def _settings(query: Query) -> str:
    """The settings of the source's session that decide what the statement means."""
    parts = [f"foreign_key_checks = {int(query.foreign_key_checks)}"]
    if query.sql_mode is not None:
        parts.append(f"sql_mode = {query.sql_mode}")
    if query.charset is not None:
        client, connection, server = query.charset
        parts += [f"character_set_client = {client}", f"collation_connection = {connection}"]
        parts.append(f"collation_server = {server}")
    if query.time_zone:
        parts.append(f"time_zone = {quote.text(query.time_zone)}")
    return "SET " + ", ".join(parts)


async def _state(session: Session, objects: tuple[TableName, ...]) -> str:
    """Digest the definitions of tables and databases as they are now."""
    digest = hashlib.sha256()
    for database, table in objects:
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
        digest.update(repr((database, table, definition)).encode())
    return digest.hexdigest()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
