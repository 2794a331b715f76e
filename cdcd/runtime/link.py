"""One link: connect and claim, run the pipeline, and go on after losses."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Mapping
from contextlib import AsyncExitStack

import structlog

from cdcd.apply.conflicts import ConflictLog
from cdcd.apply.sql.target import SqlTarget
from cdcd.checkpoint.decision import Ends
from cdcd.checkpoint.store import Checkpoint
from cdcd.checkpoint.witness import StateFiles
from cdcd.config.schema import Link, Site
from cdcd.errors import CdcdError, Fenced, Lost, OnError, SourceLost, TargetLost
from cdcd.model.backoff import Backoff
from cdcd.model.position import Gtid, Progress
from cdcd.model.states import State
from cdcd.mysql.session import Session
from cdcd.route.rules import Rules
from cdcd.runtime.figures import Figures, stage_figures
from cdcd.runtime.foreign import Foreign
from cdcd.runtime.lifecycle import check
from cdcd.runtime.pipeline import Pipeline, assemble
from cdcd.runtime.position_writes import PositionWrites
from cdcd.runtime.resume import Resumption
from cdcd.runtime.schema_changes import SchemaChanges
from cdcd.runtime.tables import Tables
from cdcd.source.catalog import LogCatalog
from cdcd.source.contract import SourceFigures
from cdcd.source.start import log_kept_seconds
from cdcd.source.stream import BinlogStream, replica_server_id

BACKOFF_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5)
# A drain that takes longer is cut off: what is open rolls back, and the next run does it again.
DRAIN_SECONDS_MAX = 30
NOTE_SECONDS_MAX = 15
# Events are stamped with whole seconds.
CLOCK_SECONDS = 1.0


class LinkRunner:
    """Runs one link until it is drained or fails; also what ``observe`` looks at."""

    def __init__(
        self,
        link: Link,
        source: Site,
        target: Site,
        *,
        names: Mapping[str, Ends] | None = None,
        state: StateFiles | None = None,
        is_paired: bool = False,
    ) -> None:
        """Describe a link that does not run yet.

        ``names`` are the links of the configuration file with their sites, where there is one; ``state`` the daemon's
        own files. ``is_paired``: another link of the file carries the opposite way.
        """
        self.link = link
        self._is_paired = is_paired
        self._source = source
        self._target = target
        self._state = State.STARTING
        self._error: str | None = None
        self._checkpoint = Checkpoint(link.name, link.source, link.target)
        self._resumption = Resumption(link, source, target, names, state)
        self.figures = Figures()
        self._conflicts = ConflictLog()
        self._source_figures = SourceFigures()
        self._position_writes = PositionWrites(time.monotonic())
        self._pipeline: Pipeline | None = None
        self._position = ""
        self._draining = asyncio.Event()
        self._log = structlog.get_logger().bind(link=link.name)

    @property
    def name(self) -> str:
        """The link's name."""
        return self.link.name

    @property
    def state(self) -> State:
        """What the link is doing; one whose source connection is being mended does not say that it streams."""
        return State.RECONNECTING if self._is_reconnecting else self._state

    @property
    def error(self) -> str | None:
        """Why the link is not streaming, or None."""
        return self._source_figures.error if self._is_reconnecting else self._error

    @property
    def blocked(self) -> str | None:
        """Why nothing moves although the link streams, or None."""
        return self._pipeline.blocked if self._pipeline is not None else None

    @property
    def _is_reconnecting(self) -> bool:
        return self._state is State.STREAMING and self._source_figures.error is not None

    @property
    def transactions(self) -> int:
        """Source transactions applied since the daemon started."""
        return self.figures.transactions

    @property
    def rows(self) -> int:
        """Row changes applied since the daemon started."""
        return self.figures.rows

    @property
    def conflicts(self) -> int:
        """Changes that the target's rows contradicted."""
        return self.figures.conflicts

    @property
    def suppressed(self) -> int:
        """Transactions of the source that a link wrote, so that they are not sent back."""
        return self._source_figures.suppressed + self.figures.suppressed_ddl

    @property
    def position(self) -> str:
        """Everything up to here is applied."""
        if self._pipeline is not None:
            self._position = str(self._pipeline.backlog.progress.position)
        return self._position

    @property
    def lag_seconds(self) -> float | None:
        """How long the oldest transaction that is not applied has waited; None when that cannot be known."""
        if self._pipeline is None or self._state not in (State.STREAMING, State.DRAINING):
            return None
        if not self._source_figures.connected:
            return None
        oldest = self._pipeline.oldest
        if oldest is None:
            return 0.0
        received, stamped = oldest
        waited = time.monotonic() - received
        return max(waited, time.time() - stamped - CLOCK_SECONDS, 0.0)

    @property
    def stages(self) -> Mapping[str, Mapping[str, float]]:
        """Figures of each stage, which say together which one is the slow one (``runtime.figures``)."""
        return stage_figures(self._source_figures, self.figures, self._pipeline)

    async def run(self) -> None:
        """Run until drained; raise the error that stops the link. The one place where retry or stop is decided."""
        structlog.contextvars.bind_contextvars(link=self.link.name)
        backoff = Backoff(BACKOFF_SECONDS)
        while not self._draining.is_set():
            began = self.transactions
            try:
                await self._until_drained(asyncio.create_task(self._run_once(), name=f"link-{self.link.name}"))
            except CdcdError as error:
                error.at(link=self.link.name)
                if error.on_error is OnError.STOP:
                    await self._stop(error)
                    raise
                if self._draining.is_set():
                    self._log.warning("drain_ended_early", error=str(error))
                    break
                await self._back_off(error, backoff.after(went_well=self.transactions > began))
        self._become(State.DRAINING)
        self._become(State.STOPPED)
        self._log.info("link_stopped", position=self.position, transactions=self.transactions)

    async def _stop(self, error: CdcdError) -> None:
        """Fail, saying what the operator can do; where one transaction is the reason, it is noted on the target."""
        gtid = _transaction(error)
        if gtid is not None:
            skip = f"cdcd skip --link {self.name} --gtid {gtid}"
            if skip not in error.hint:
                error.hint = "; ".join(filter(None, (error.hint, f"`{skip}` shows this transaction and leaves it out")))
        error.hint = error.hint.replace("--link NAME", f"--link {self.name}")
        if self._is_paired and "by hand" in error.hint:
            error.hint += f"; on {self._target.name}, SET sql_log_bin = 0 before that, or the link back carries it"
        if gtid is not None:
            try:
                async with asyncio.timeout(NOTE_SECONDS_MAX), AsyncExitStack() as stack:
                    session = await self._asking(stack, self._target, TargetLost)
                    await self._checkpoint.note_failure(session, gtid, str(error))
            except (CdcdError, TimeoutError) as reason:
                self._log.warning("failure_not_noted", transaction=str(gtid), error=str(reason))
        self.fail(str(error))

    def fail(self, reason: str) -> None:
        """Note that the link has stopped for good, and why."""
        self._error = reason
        self._become(State.FAILED)
        self._log.error("link_failed", error=reason)

    async def _back_off(self, error: CdcdError, seconds: float) -> None:
        # Its frames hold what the failed run had in memory, which may be a good part of a large transaction.
        traceback.clear_frames(error.__traceback__)
        self._error = str(error)
        self._become(State.RECONNECTING)
        self._log.warning("link_retried", error=str(error), retry_seconds=seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        except TimeoutError:
            return

    def drain(self) -> None:
        """Read no more, apply what was accepted, and end."""
        self._draining.set()
        if self._pipeline is not None:
            self._pipeline.drain()
            if self._state is State.STREAMING:
                self._become(State.DRAINING)

    def reload(self, link: Link) -> None:
        """Apply the reloadable keys of a changed link without dropping a connection."""
        self.link = link
        if self._pipeline is not None:
            self._pipeline.reload(link)

    def _become(self, state: State) -> None:
        if state is not self._state:
            self._state = check(self._state, state)

    async def _until_drained(self, running: asyncio.Task[None]) -> None:
        """Wait for a run's end. On draining it has a while to finish what it accepted, then it is cut off."""
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({running, draining}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await asyncio.wait({running}, timeout=DRAIN_SECONDS_MAX if self._pipeline else 0)
            if running.done():
                running.result()
            elif self._pipeline:
                self._log.warning("drain_cut_off", seconds=DRAIN_SECONDS_MAX)
        finally:
            draining.cancel()
            running.cancel()
            await asyncio.wait({running})

    async def _run_once(self) -> None:
        if self._state is State.RECONNECTING:
            self._become(State.STARTING)
        self._source_figures.error = None
        async with AsyncExitStack() as stack:
            pipeline = self._pipeline = await self._connect(stack)
            self._error = None
            self._become(State.STREAMING)
            if self._draining.is_set():  # Since the last moments of connecting.
                pipeline.drain()
            noting = asyncio.create_task(self._resumption.keep(lambda: pipeline.dispatcher.written), name="noting")
            try:
                await pipeline.run()
            finally:
                noting.cancel()
                self._conflicts.settle()
                self._position = str(pipeline.backlog.progress.position)
                self._pipeline = None
            await self._resumption.note(pipeline.dispatcher.written)

    async def _asking(self, stack: AsyncExitStack, site: Site, lost: type[Lost]) -> Session:
        """Open a session for questions about the server."""
        session = await Session.open(site, lost)
        stack.callback(session.abort)
        return session

    async def _connect(self, stack: AsyncExitStack) -> Pipeline:
        target = await SqlTarget.open(self._target, self._checkpoint, self._conflicts, is_paired=self._is_paired)
        stack.callback(target.close)
        session = await self._asking(stack, self._source, SourceLost)
        self._position_writes.kept_seconds = await log_kept_seconds(session)
        writers = [await target.open_writer(slot) for slot in range(self.link.writers)]
        claim = await self._resumption.claim(target, session)
        self._position_writes.begin(claim.progress.position)
        reader = replica_server_id(self.link, target.server)
        source = self._open_source(reader, claim.progress, target.server_id)
        catalog = await LogCatalog.open(self._source, self.link, reader, session)
        tables = Tables(self.link, catalog, target.catalog)
        changes = await self._changes(tables.rules, catalog, reader, await target.open_session())
        return assemble(
            self.link,
            source,
            target,
            claim,
            writers,
            tables,
            changes,
            figures=self.figures,
            conflicts=self._conflicts,
            position_writes=self._position_writes,
            clock=time.monotonic,
        )

    def _open_source(self, reader: int, progress: Progress, target_id: int) -> BinlogStream:
        return BinlogStream(
            self._source,
            self.link,
            reader,
            progress.position,
            progress.at,
            time.monotonic,
            self._source_figures,
            target_id=target_id,
            applied=progress.applied,
        )

    async def _changes(self, rules: Rules, catalog: LogCatalog, reader: int, session: Session) -> SchemaChanges:
        changes = SchemaChanges(
            self.link,
            rules,
            session,
            self._target,
            reader,
            Foreign(rules, catalog.collations, catalog.session),
            catalog,
            is_paired=self._is_paired,
        )
        await changes.load(catalog.session)
        return changes


def _transaction(error: CdcdError) -> Gtid | None:
    """Return the one transaction that is the reason of an error; a run that was taken over stopped at none."""
    text = error.where.get("transaction") or error.where.get("gtid")
    try:
        return Gtid.parse(text) if text and not isinstance(error, Fenced) else None
    except ValueError:  # An error may name several.
        return None
