"""Run a schema change on the target, once, announced so that the reverse link does not send it back.

A statement commits by itself, so no marker can share its transaction. First the announcement is committed:
the connection that will run it, what it changes, and a digest of the objects as they are. Then it runs. A run
that finds its announcement already there ends that connection, and compares: objects that changed since say
that it has run. Where a statement may leave no trace of that kind, the link stops. A row of the same GTID for another
statement or of another time is from a log that is no more, and one without a state was made void by an operator.

The statement runs under the settings and at the time of the original, so rows that it fills get the same values.
The settings are those that a QUERY event carries, and what the source has for those that none carries. Where the log
gives no time that can be announced, it runs at the target's time, and a later run at the one that was announced.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog

from cdcd.apply.contract import Mark
from cdcd.apply.sql import marker
from cdcd.apply.sql.row_by_row import explain
from cdcd.errors import AccessDenied, ApplyFailed, CdcdError, ServerError, UnsupportedEvent
from cdcd.model.query import Query
from cdcd.model.table import TableName
from cdcd.mysql import answers, codes
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.session import Session
from cdcd.sql import quote

log = structlog.get_logger()

KEPT_DAYS = 7
_MISSING = codes.GONE | {codes.UNKNOWN_TABLE}
_SPARE_BYTES = 4096
# Inserts move it, and they go on while the link does not run.
_NEXT_ID = re.compile(rb" AUTO_INCREMENT=\d+")


class Effects(Protocol):
    """What the statement does to rows (``route.effect.Effect``)."""

    @property
    def renews(self) -> bool:
        """Its tables are made anew, though their definitions may stay the same."""

    @property
    def hides(self) -> bool:
        """Rows change, and nothing but they may tell."""

    @property
    def unequal(self) -> str:
        """What in it has a value of its own on each server."""

    @property
    def numbers(self) -> bool:
        """What becomes of a row depends on the order in which the server reads them."""

    @property
    def orders(self) -> bool:
        """It says in which order."""


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
    timestamp: int  # of the statement, in seconds; 0 where its time is not known, and must not matter
    time_zone: str  # what the query's means on the target
    effect: Effects
    defaults: Mapping[str, str]  # the source's settings that no event carries

    @property
    def moment(self) -> str:
        """The statement's time in seconds, exactly; "" where it is not known."""
        return f"{self.timestamp}.{self.query.microseconds or 0:06d}" if self.timestamp else ""

    @property
    def listed(self) -> str:
        """The objects as ``cdcd.ddl`` stores them."""
        return "\n".join(f"{database}\t{table}" for database, table in self.objects)

    @property
    def way_out(self) -> str:
        """How to pass over it."""
        return f"cdcd skip --link {self.link} --gtid {self.gtid}"


class State(NamedTuple):
    """What the objects of a change are at one moment."""

    digest: str
    present: bool  # one of them exists
    is_told: bool  # the digest differs for tables that were made anew


def _is_missing(error: ServerError, change: Change) -> bool:
    """Return whether what a statement renames is no table of the target's."""
    return change.verb == "RENAME TABLE" and error.code == codes.NO_SUCH_TABLE


class Announced(NamedTuple):
    """What an earlier run of a change announced."""

    state_before: str
    session: int
    objects: bytes
    moment: str


async def carry(session: Session, change: Change, fence: Mark) -> bool:
    """Run the change unless an earlier run did; return whether it ran now. ``fence`` goes with its announcement.

    Raises Fenced, ApplyFailed, UnsupportedEvent, TargetLost, TargetBusy.
    """
    await settle(session)
    announced = await _announced(session, change)
    if announced is not None:
        await _end(session, announced.session)
    state = await _state(session, change)
    if announced is not None and _has_run(change, announced, state):
        log.info("ddl_found_done", verb=change.verb, gtid=change.gtid)
        return False
    await _check_size(session, change)
    await _check_rows(session, change)
    moment = change.moment or (announced.moment if announced is not None else await _now(session))
    await _announce(session, change, moment, state.digest, fence)
    try:
        await _run(session, change, moment)
    except ServerError as error:
        raise _refused(error, change, session.flavor) from error
    return True


async def _announced(session: Session, change: Change) -> Announced | None:
    """Return what an earlier run announced."""
    row = await session.fetch_one(
        "SELECT state_before, session, objects, UNIX_TIMESTAMP(announced_at) FROM cdcd.ddl"
        f" WHERE link = {quote.text(change.link)} AND gtid = {quote.text(change.gtid)} AND state_before <> ''"
        f" AND verb = {quote.text(change.verb)} AND digest = {quote.text(change.digest)}"
        + (f" AND announced_at = FROM_UNIXTIME({change.moment})" if change.moment else "")
    )
    if row is None:
        return None
    return Announced(answers.text(row[0]), int(row[1]), answers.raw(row[2]), str(row[3]))


async def _now(session: Session) -> str:
    row = await session.fetch_one("SELECT UNIX_TIMESTAMP(NOW(6))")
    assert row is not None
    return str(row[0])


async def _run(session: Session, change: Change, moment: str) -> None:
    await session.execute(_settings(change, moment, session.flavor.schema_changes.logged))
    expected = change.query.error
    try:
        await session.execute(change.statement)
    except ServerError as error:
        # The server drops what there is of a list before it says that something is not there.
        if error.code != expected and not (change.verb == "DROP TABLE" and error.code == codes.UNKNOWN_TABLE):
            raise
    else:
        if expected and change.verb != "DROP TABLE":
            raise ServerError(expected, "the source's answer to this statement, which the target has run")


def _refused(error: ServerError, change: Change, flavor: Flavor) -> CdcdError:
    refused = explain(error, flavor).at(statement=str(change.query), gtid=change.gtid)
    again = "start the link again"
    way = "" if again in refused.hint else f"; make it possible there and {again}"
    what = " (views and sequences are not carried)" if _is_missing(error, change) else ""
    refused.hint += f"{way}, or pass over it with {change.way_out}{what}"
    return refused


def _has_run(change: Change, announced: Announced, state: State) -> bool:
    """Return whether an earlier run ran the statement; raise UnsupportedEvent where that cannot be told."""
    before = announced.state_before
    if announced.objects != change.listed.encode():
        unsure = True  # Under other rules it was about other tables.
    elif before != state.digest:
        # Tables of a list are dropped one by one: the statement may have ended between two of them.
        unsure = change.verb == "DROP TABLE" and len(change.objects) > 1 and state.present
    else:
        unsure = change.effect.hides or (change.effect.renews and not state.is_told)
    if unsure:
        where = f"link = {quote.text(change.link)} AND gtid = {quote.text(change.gtid)}"
        raise UnsupportedEvent(
            f"the last run of the link ended while this statement was run, and nothing tells if it has: {change.query}",
            hint=f"look at the tables on the target; if it has, {change.way_out};"
            f" if not, DELETE FROM cdcd.ddl WHERE {where} there, and start the link again",
        )
    return before != state.digest


async def _check_size(session: Session, change: Change) -> None:
    """Raise ApplyFailed for a statement that the target would end the connection for."""
    row = await session.fetch_one("SELECT @@max_allowed_packet")
    needed = len(change.statement) + _SPARE_BYTES
    if row is not None and needed > int(row[0]):
        raise ApplyFailed(
            f"a statement of {len(change.statement)} bytes exceeds the target's max_allowed_packet: {change.query}",
            hint=f"raise max_allowed_packet on the target to {needed} or more",
        )


async def _check_rows(session: Session, change: Change) -> None:
    """Raise UnsupportedEvent where rows that are there would get other values than the source's."""
    effect = change.effect
    if not (effect.unequal or effect.numbers) or await _is_empty(session, change.objects[0]):
        return
    problem = ""
    if effect.unequal:
        problem = f"fills the rows that are there with {effect.unequal}, which each server answers in its own way"
    elif effect.orders or not await _reads_by_key(session, change.objects[0]):
        problem = "depends on the order of the rows that are there, which nothing but a primary key makes the same"
    if problem:
        raise UnsupportedEvent(
            f"a statement that {problem}: {change.query}",
            hint="make the same change on the target by hand, without that default, copy the column's values from the"
            f" source, then {change.way_out}",
        )


async def _is_empty(session: Session, table: TableName) -> bool:
    try:
        return await session.fetch_one(f"SELECT 1 FROM {quote.table(table)} LIMIT 1") is None
    except ServerError as error:
        if error.code not in _MISSING:
            raise
        return True


async def _reads_by_key(session: Session, table: TableName) -> bool:
    """Return whether the server reads the table in the order of its primary key: InnoDB stores it so."""
    here = f"table_schema = {quote.text(table[0])} AND table_name = {quote.text(table[1])}"
    row = await session.fetch_one(
        f"SELECT 1 FROM information_schema.tables WHERE {here} AND engine = 'InnoDB' AND EXISTS"
        f" (SELECT 1 FROM information_schema.statistics WHERE {here} AND index_name = 'PRIMARY')"
    )
    return row is not None


async def settle(session: Session) -> None:
    """Undo what the last statement's settings left in the session."""
    await session.store_exactly()
    await session.execute("SET timestamp = DEFAULT")


async def _end(session: Session, earlier: int) -> None:
    """End the connection of an earlier run: its statement may still wait there for a lock."""
    query = (
        f"SELECT 1 FROM information_schema.processlist WHERE id = {earlier} AND id <> CONNECTION_ID()"
        " AND user = SUBSTRING_INDEX(USER(), '@', 1)"
    )
    while await session.fetch_one(query):
        log.warning("old_session_ended", session=earlier)
        await session.end(earlier)
        await asyncio.sleep(0.1)


async def _announce(session: Session, change: Change, moment: str, state: str, fence: Mark) -> None:
    values = ",".join(
        quote.text(value)
        for value in (change.link, change.gtid, change.origin, change.verb, change.listed, change.digest, state)
    )
    with marker.refusal():
        answers = await session.execute_many(
            [
                "BEGIN",
                "REPLACE INTO cdcd.ddl (link,gtid,origin,verb,objects,digest,state_before,session,announced_at)"
                f" VALUES ({values},CONNECTION_ID(),FROM_UNIXTIME({moment}))",
                marker.statement(fence),
                f"DELETE FROM cdcd.ddl WHERE link = {quote.text(change.link)}"
                f" AND announced_at < FROM_UNIXTIME({moment}) - INTERVAL {KEPT_DAYS} DAY",
            ]
        )
    marker.check(answers[2])
    await session.execute("COMMIT")


def _settings(change: Change, moment: str, logged: Mapping[str, str]) -> str:
    """The time and the settings of the source's session that decide what the statement means.

    ``logged`` are the target's names for what the query tells.
    """
    query = change.query
    parts = [
        # The server cuts what it is given to microseconds, and a double may be a little less than what was written.
        f"timestamp = {moment}5",
        *(f"{variable} = {int(getattr(query, name))}" for variable, name in logged.items()),
        f"auto_increment_increment = {query.auto_increment[0]}",
        f"auto_increment_offset = {query.auto_increment[1]}",
        f"lc_time_names = {query.lc_time_names}",
    ]
    if query.sql_mode is not None:
        parts.append(f"sql_mode = {query.sql_mode}")
    if query.charset is not None:
        client, connection, server = query.charset
        parts += [f"character_set_client = {client}", f"collation_connection = {connection}"]
        parts.append(f"collation_server = {server}")
    if change.time_zone:
        parts.append(f"time_zone = {quote.text(change.time_zone)}")
    parts += [f"{name} = {value if value.isdigit() else quote.text(value)}" for name, value in change.defaults.items()]
    return "SET " + ", ".join(parts)


async def _state(session: Session, change: Change) -> State:
    """Digest the definitions of tables and databases as they are now, and which tables they are."""
    digest = hashlib.sha256()
    present, is_told = False, True
    for database, table in change.objects:
        definition = await _definition(session, (database, table))
        text = _NEXT_ID.sub(b"", definition) if definition else None
        digest.update(repr((database, table, text)).encode())
        present = present or text is not None
        if change.effect.renews:
            identity = await _identity(session, (database, table))
            is_told = is_told and (text is None or bool(identity))
            digest.update(repr(identity).encode())
    return State(digest.hexdigest(), present, is_told)


async def _definition(session: Session, name: TableName) -> bytes | None:
    query = f"SHOW CREATE TABLE {quote.table(name)}" if name[1] else f"SHOW CREATE DATABASE {quote.identifier(name[0])}"
    try:
        row = await session.fetch_one(query)
    except ServerError as error:
        if error.code not in _MISSING:
            raise
        return None
    return answers.raw(row[1]) if row else None


async def _identity(session: Session, name: TableName) -> list[tuple[object, ...]]:
    """Return InnoDB's numbers of a table and its partitions, where this account may see them (PROCESS)."""
    database, table = (f"CAST(CONVERT(_utf8mb4 {quote.text(part)} USING filename) AS BINARY)" for part in name)
    file = f"CONCAT({database}, '/', {table})"
    try:
        return await session.fetch(
            f"SELECT CAST(name AS BINARY), table_id FROM {session.flavor.catalog.tables}"
            f" WHERE CAST(name AS BINARY) = {file} OR CAST(name AS BINARY) LIKE CONCAT({file}, '#P#%') ORDER BY 1"
        )
    except AccessDenied:
        return []
