"""What an operator changes of a link that does not run: each change is one transaction on the link's target.

It locks the link's rows of ``cdcd.checkpoint``, so that no run can begin meanwhile, and then looks whether the sessions
that they name are alive. It begins with a change in that table, so that a reader of the target's log passes over it,
and takes the next epoch, so that a run that was between two connections is fenced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from cdcd.checkpoint import layout
from cdcd.checkpoint.store import COLUMNS, NO_PLACE, PLACE, SLOTS_MAX, place, read
from cdcd.checkpoint.witness import row_of
from cdcd.errors import CdcdError, CheckpointLost, LinkRuns, TargetBusy
from cdcd.model.position import Gtid, Progress, pack
from cdcd.mysql import answers, codes
from cdcd.mysql.session import Session
from cdcd.sql import quote

# A server notices within milliseconds that a process is gone, unless it is busy.
ENDING_TRIES, ENDING_SECONDS = 20, 0.1
TABLES = ("checkpoint", "ddl", "link", "skipped")


@dataclass(frozen=True, slots=True)
class State:
    """What a link's checkpoint says, over all its slots; ``progress`` is None where there is none."""

    progress: Progress | None
    epoch: int = 0
    batch: int = 0
    origin: str = ""
    updated_at: str = ""
    sessions: tuple[int, ...] = ()  # those that it names and that are alive
    damage: CheckpointLost | None = None  # why there is no progress, though there are rows

    def check(self) -> None:
        """Raise CheckpointLost where the rows do not hold what was written."""
        if self.damage is not None:
            raise self.damage


@dataclass(frozen=True, slots=True)
class Failure:
    """The transaction that a link stopped at, and why."""

    gtid: Gtid
    reason: str


async def present(session: Session) -> bool:
    """Return whether the server holds any of cdcd's tables."""
    names = ",".join(map(quote.text, TABLES))
    return bool(
        await session.fetch_one(
            f"SELECT 1 FROM information_schema.tables WHERE table_schema = 'cdcd' AND table_name IN ({names})"
        )
    )


async def look(session: Session, link: str, *, lock: bool = False) -> State:
    """Return what a link's checkpoint says now, or that its rows are damaged; nothing where there is no table.

    Raises LayoutMismatch where the tables cannot be used.
    """
    table = (await layout.look(session)).get("checkpoint")
    if table is None:
        return State(None)
    where = PLACE if table.has_place else NO_PLACE
    uptime = session.flavor.catalog.status_value.format(name="UPTIME")
    # When a row was written, and whether the server ran already.
    written = f"CAST(updated_at AS CHAR), updated_at > NOW(6) - INTERVAL ({uptime} + 1) SECOND"
    rows = await session.fetch(
        f"SELECT slot, position, applied, epoch, batch, session, origin, {where}, {written}"
        f" FROM cdcd.checkpoint WHERE link = {quote.text(link)}"
        f" ORDER BY slot LIMIT {SLOTS_MAX}" + (" FOR UPDATE" if lock else "")
    )
    if not rows:
        return State(None)
    named = {int(row[5]) for row in rows if row[13]}  # What was written before the server started names no session.
    epoch = max(row[3] for row in rows)
    try:
        batch, held = read([row[:12] for row in rows])
    except CheckpointLost as damage:
        return State(None, epoch, sessions=await _alive(session, named), damage=damage.at(site=session.site.name))
    return State(
        progress=held.progress,
        epoch=epoch,
        batch=batch,
        origin=min(held.origins),
        updated_at=max(answers.text(row[12]) for row in rows),
        sessions=await _alive(session, named),
    )


async def settled(session: Session, link: str) -> State:
    """Return what a link's checkpoint says; a run that has just ended is given a moment to be gone."""
    for _ in range(ENDING_TRIES):
        state = await look(session, link)
        if not state.sessions:
            break
        await asyncio.sleep(ENDING_SECONDS)
    return state


async def _alive(session: Session, named: set[int]) -> tuple[int, ...]:
    """Return which of these are sessions of this account."""
    rows = await session.fetch(
        f"SELECT id FROM information_schema.processlist WHERE id IN ({','.join(map(str, named or {0}))})"
        " AND user = SUBSTRING_INDEX(USER(), '@', 1) AND id <> CONNECTION_ID() ORDER BY id"
    )
    return tuple(int(row[0]) for row in rows)


async def failure(session: Session, link: str, source: str, target: str) -> Failure | None:
    """Return the transaction that a link stopped at when it last ran; None where it was none, or is not known."""
    row = await session.fetch_one(f"SELECT failed_gtid, failure FROM cdcd.link WHERE {row_of(link, source, target)}")
    if row is None or not row[0]:
        return None
    try:
        return Failure(Gtid.parse(answers.text(row[0])), answers.text(row[1]))
    except ValueError as error:
        raise CdcdError(
            f"failed_gtid of {link} in cdcd.link is damaged: {error}", hint="the link notes it anew when it stops"
        ).at(site=session.site.name) from error


@dataclass(slots=True)
class Held:
    """A link whose rows are locked; its changes are committed together."""

    session: Session
    link: str
    state: State

    @property
    def _where(self) -> str:
        return f"link = {quote.text(self.link)}"

    @property
    def _epoch(self) -> int:
        """An epoch that no run has had, whether or not the link's rows were there."""
        return max(self.state.epoch + 1, time.time_ns() // 1000)

    async def skip(self, gtid: Gtid, content: str, by: str) -> None:
        """Count a transaction as applied, and keep what it held.

        What the slots say together goes to one slot, under the next batch's number, which alone counts then.
        """
        progress = self.state.progress
        assert progress is not None
        await self._write(progress.besides([gtid]))
        await self.session.execute(
            f"DELETE FROM cdcd.ddl WHERE {self._where} AND gtid = {quote.text(str(gtid))}"  # It will not run.
        )
        await self.session.execute(
            "REPLACE INTO cdcd.skipped (link, gtid, content, skipped_by)"
            f" VALUES ({quote.text(self.link)}, {quote.text(str(gtid))}, {quote.any_text(content)},"
            f" {quote.any_text(by[:255])})"
        )

    async def move(self, progress: Progress, origin: str) -> None:
        """Put the link at a position, with nothing applied after it; make its checkpoint where it is gone.

        Announced schema changes are made void, so that none is taken for one that the target has; they stay for the
        opposite link, which may not have read their statements yet.
        """
        if self.state.progress is None:
            if self.state.damage is not None:
                await self.session.execute(f"DELETE FROM cdcd.checkpoint WHERE {self._where}")
            await self.session.execute(
                f"INSERT INTO cdcd.checkpoint ({COLUMNS}) VALUES ({quote.text(self.link)},0,{quote.text(origin)},"
                f"{quote.binary(str(progress.position).encode())},'',{self._epoch},0,0,{','.join(place(progress.at))})"
            )
        else:
            await self._write(progress, f", origin = {quote.text(origin)}")
        await self.session.execute(f"UPDATE cdcd.ddl SET state_before = '' WHERE {self._where}")

    async def rename(self, new: str) -> None:
        """Give all that the target keeps of the link another link's name."""
        await mark(self.session)
        await self.session.execute(
            f"UPDATE cdcd.checkpoint SET link = {quote.text(new)}, epoch = {self._epoch}, session = 0,"
            f" updated_at = NOW(6) WHERE {self._where}"
        )
        for table in ("ddl", "skipped"):
            await self.session.execute(f"UPDATE cdcd.{table} SET link = {quote.text(new)} WHERE {self._where}")

    async def forget(self) -> None:
        """Remove all that the target keeps of the link, but for its witnesses."""
        await mark(self.session)
        for table in ("checkpoint", "ddl", "skipped"):
            await self.session.execute(f"DELETE FROM cdcd.{table} WHERE {self._where}")

    async def _write(self, progress: Progress, more: str = "") -> None:
        lies = zip(PLACE.split(","), place(progress.at), strict=True)
        await self.session.execute(
            f"UPDATE cdcd.checkpoint SET epoch = {self._epoch}, session = 0, updated_at = NOW(6),"
            f" position = {quote.binary(str(progress.position).encode())},"
            f" applied = IF(slot = 0, {quote.binary(pack(progress.applied))}, ''),"
            f" batch = {self.state.batch} + (slot = 0), {', '.join(f'{name} = {value}' for name, value in lies)}{more}"
            f" WHERE {self._where}"
        )


async def mark(session: Session) -> None:
    """Begin a transaction of cdcd's own, which readers of the server's log pass over: a row comes, and goes again."""
    await session.execute(
        "INSERT INTO cdcd.checkpoint (link,slot,origin,position,applied,epoch,batch,session)"
        f" VALUES ('',0,{quote.text(session.site.name)},'','',0,0,0)"
    )
    await session.execute("DELETE FROM cdcd.checkpoint WHERE link = ''")


@asynccontextmanager
async def hold(session: Session, link: str) -> AsyncIterator[Held]:
    """Lock a link's rows while its target is asked and changed; commit at the end, roll back on an error.

    Raises LinkRuns while a run of the link is alive.
    """
    await layout.prepare(session)
    await session.execute("SET SESSION innodb_lock_wait_timeout = 3, time_zone = '+00:00'")
    await session.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    try:
        await session.execute("BEGIN")
        state = await look(session, link, lock=True)
        refuse_running(state, link, session.site.name)
        yield Held(session, link, state)
        await session.execute("COMMIT")
    except CdcdError as error:
        with suppress(CdcdError):
            await session.execute("ROLLBACK")
        if isinstance(error, TargetBusy) and error.code in codes.LOCKED:
            raise LinkRuns(f"another session holds the rows of {link}: {error.message}").at(
                site=session.site.name
            ) from error
        raise


def refuse_running(state: State, link: str, site: str) -> None:
    """Raise LinkRuns where sessions of a run are alive."""
    if state.sessions:
        named = ", ".join(map(str, state.sessions))
        raise LinkRuns(f"a cdcd runs the link {link}: its sessions {named} are alive").at(site=site)
