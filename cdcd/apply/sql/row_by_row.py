"""One change at a time, in source order: how a partition is applied that contradicts the target's rows.

The policy ``overwrite``: the source's row wins. A row that should be new but is there is overwritten; one that
should be there but is gone is written anew; one that should go and is gone already is left so. Each counts as a
conflict. What stops the link: a change that could only be made by removing a different row, one that shares
a value of another unique key, or a row's own that others refer to, which a cascade would take along.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Literal

from cdcd.apply.conflicts import DELETE_MISSED, INSERT_FOUND, UPDATE_MET, UPDATE_MISSED, Met, Source
from cdcd.apply.sql.exchange import MismatchError
from cdcd.apply.sql.statement import can_insert_after, describe, moves_row_key, render, render_one
from cdcd.errors import ApplyFailed, CdcdError, Conflict, SchemaMismatch, ServerError
from cdcd.model.change import INSERT, UPDATE
from cdcd.mysql import codes
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.session import Session
from cdcd.row.row_set import RowSet

PACKET_HEAD = 1024  # for what goes with a statement
Verb = Literal["insert", "update", "overwrite", "delete"]
_NARROW = (
    "the target column is narrower than the source's: alter it; allow_loss lets values be rounded, and none be cut"
)
_HINTS = {
    codes.NO_SUCH_COLUMN: "the target table lacks a column: alter it, or set ddl = true",
    codes.NO_SUCH_TABLE: "create the table on the target, or leave it out of the link",
    codes.NO_SUCH_DATABASE: "create the database on the target",
    codes.PACKET_TOO_LARGE: "raise max_allowed_packet on the target above that size, then start the link again",
    codes.OUT_OF_COLUMN_RANGE: _NARROW,
    codes.TOO_LONG: _NARROW,
    codes.TRUNCATED: "the target column cannot hold the value: compare both definitions",
    codes.WRONG_VALUE: "the target column cannot hold the value: compare both definitions",
    codes.NO_DEFAULT: "that column of the target is not on the source and has no default: give it one",
    codes.NO_GEOMETRY: "a geometry without a value, which a source stores that is not strict, is taken as a row event"
    " only, where no row is in the way: GRANT {replay} to the target's account, with the same columns on both"
    " sides; or do by hand on the target what the transaction did, with sql_mode = '' and without that column, then"
    " cdcd skip",
}


def explain(error: ServerError, flavor: Flavor) -> CdcdError:
    """Turn a server's refusal into an error that says what to do there."""
    hint = _HINTS.get(error.code, "").format(replay=flavor.privileges.replay)
    if error.code in codes.FOREIGN_KEY:
        hint = "the referenced row is not on the target: carry both tables, or compare the sites with cdcd verify"
    raised = ApplyFailed(error.message, hint=hint)
    raised.where.update(error.where)
    return raised


def too_large(size: int, packet_bytes_max: int) -> ServerError:
    """Return what a server would say of a statement that it does not take; asked for real, it ends the connection."""
    return ServerError(
        codes.PACKET_TOO_LARGE,
        f"a row comes to a statement of {size} bytes, and the target's max_allowed_packet is {packet_bytes_max}",
    )


class RowByRow:
    """Runs changes one by one on a session with an open transaction; counts the conflicts that it decides."""

    def __init__(self, session: Session, source: Source, packet_bytes_max: int) -> None:
        self._session = session
        self._source = source
        self._packet_bytes_max = packet_bytes_max
        self.met = Met()

    async def run(self, steps: Iterable[RowSet]) -> None:
        """Apply every change; raise Conflict or ApplyFailed."""
        for step in steps:
            async with self._foreign_keys(step):
                for at in range(len(step)):
                    await self._decide(step, at)

    async def run_net(self, steps: Iterable[RowSet]) -> None:
        """Apply net changes, many in a statement, and those of one that is contradicted one by one.

        So a conflict is found without giving up the speed of all that agrees. Raises MismatchError where
        the changes can only be made in source order.
        """
        try:
            for step in steps:
                async with self._foreign_keys(step):
                    for statement in render(step):
                        await self._session.execute("SAVEPOINT step")
                        text = statement.text(self._session.flavor.leniently)
                        if await self._session.execute(text) != statement.matched:
                            await self._session.execute("ROLLBACK TO step")
                            for at in range(statement.first, statement.first + statement.rows):
                                await self._decide(step, at)
        except (ServerError, Conflict, ApplyFailed, SchemaMismatch) as error:
            raise MismatchError(error.message) from error

    @asynccontextmanager
    async def _foreign_keys(self, step: RowSet) -> AsyncIterator[None]:
        """Do without foreign key checks where the source did."""
        if step.foreign_keys_off:
            await self._session.execute("SET foreign_key_checks=0")
        yield
        if step.foreign_keys_off:
            await self._session.execute("SET foreign_key_checks=1")

    async def _decide(self, step: RowSet, at: int) -> None:
        try:
            await self._change(step, at)
        except ServerError as error:
            raise explain(error, self._session.flavor).at(**self._where(step, at)) from error
        except CdcdError as error:
            error.at(**self._where(step, at))
            raise

    def _where(self, step: RowSet, at: int) -> dict[str, str]:
        return {**describe(step, at), "transaction": str(self._source.gtid_of(step, at))}

    async def _change(self, step: RowSet, at: int) -> None:
        if step.kind == INSERT:
            await self._insert(step, at)
        elif step.kind == UPDATE:
            await self._update(step, at)
        elif not await self._run(step, at, "delete"):
            self._missing(step, at, DELETE_MISSED)

    async def _insert(self, step: RowSet, at: int) -> None:
        if not await self._write(step, at):
            self.met.add(INSERT_FOUND, self._source, step, at)

    async def _update(self, step: RowSet, at: int) -> None:
        kind = UPDATE_MISSED
        try:
            if await self._run(step, at, "update"):
                return
        except ServerError as error:
            if error.code != codes.DUPLICATE:
                raise
            if not moves_row_key(step, at) or self._has_children(step):
                raise self._taken(step, at, error) from error
            await self._run(step, at, "delete")
            kind = UPDATE_MET
        self._missing(step, at, kind)
        if not can_insert_after(step, at):
            raise Conflict(
                "the row to update is missing on the target, and the log holds only its changed columns",
                hint="set binlog_row_image=FULL on the source, and compare the sites with cdcd verify",
            ).at(**self._where(step, at))
        await self._write(step, at)

    async def _write(self, step: RowSet, at: int) -> bool:
        """Make the row what the change says; return whether it was not there."""
        try:
            await self._run(step, at, "insert")
        except ServerError as error:
            if error.code != codes.DUPLICATE:
                raise
            await self._overwrite(step, at, error)
            return False
        return True

    async def _overwrite(self, step: RowSet, at: int, met: ServerError) -> None:
        """Write over the row that has our key; another row in the way stops the link."""
        try:
            if step.plan.target.is_keyed and await self._run(step, at, "overwrite"):
                return
        except ServerError as error:
            if error.code != codes.DUPLICATE:
                raise
            raise self._taken(step, at, error) from error
        raise self._taken(step, at, met)

    def _has_children(self, step: RowSet) -> bool:
        """Return whether a delete may take rows of other tables along, or change them."""
        table = step.plan.target.table
        return not step.foreign_keys_off and (table.is_parent or not table.has_all_references)

    def _missing(self, step: RowSet, at: int, kind: str) -> None:
        if not step.plan.target.is_keyed:
            raise Conflict(
                "the row to change is not on the target, and its table has no key to find it by",
                hint="add a primary key on both sides; compare the sites with cdcd verify",
            ).at(**self._where(step, at))
        self.met.add(kind, self._source, step, at)

    def _taken(self, step: RowSet, at: int, error: ServerError) -> Conflict:
        return Conflict(
            f"another row of the target holds a value that must be unique: {error.message}",
            hint="remove or change that row on the target by hand, then start the link again",
        ).at(**self._where(step, at))

    async def _run(self, step: RowSet, at: int, verb: Verb) -> int:
        sql = render_one(step, at, verb).text(self._session.flavor.leniently)
        if len(sql) + PACKET_HEAD > self._packet_bytes_max:
            raise too_large(len(sql), self._packet_bytes_max)
        return await self._session.execute(sql)
