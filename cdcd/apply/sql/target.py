"""A server that a link's changes go to, with the sessions of one run: for questions, for writers, for statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cdcd.apply.conflicts import ConflictLog
from cdcd.apply.sql.catalog import SqlCatalog
from cdcd.apply.sql.watch import Watch
from cdcd.apply.sql.writer import Writer
from cdcd.checkpoint import witness
from cdcd.checkpoint.logged import check_logged
from cdcd.checkpoint.store import Begin, Checkpoint, Claim, Held, find
from cdcd.checkpoint.witness import Witness
from cdcd.config.schema import Site
from cdcd.errors import ServerError, TargetLost
from cdcd.model.position import Progress
from cdcd.mysql.identity import read_identity
from cdcd.mysql.session import Session


class SqlTarget:
    """One run's connections to its target (``contract.Target``).

    ``control`` is for questions, and gives up on a server that does not answer; those that write are patient.
    """

    def __init__(self, site: Site, checkpoint: Checkpoint, conflicts: ConflictLog, control: Session) -> None:
        self.site = site
        self.control = control
        self.catalog = SqlCatalog(control)
        self.server = ""  # its identity
        self.server_id = -1
        self._checkpoint = checkpoint
        self._conflicts = conflicts
        self._packet_bytes_max = 0
        self._reached: dict[str, bool] = {}
        self._sessions = [control]
        self._patient: list[Session] = []
        self._writers: list[Writer] = []
        self._is_claimed = False
        self._watch: Watch | None = None

    @classmethod
    async def open(
        cls, site: Site, checkpoint: Checkpoint, conflicts: ConflictLog | None = None, *, is_paired: bool = False
    ) -> SqlTarget:
        """Connect; raise TargetLost, AccessDenied.

        ``is_paired``: another link carries the opposite way, and reads the marker in the server's log. Raises
        PrecheckFailed where it would not be there.
        """
        target = cls(site, checkpoint, conflicts or ConflictLog(), await Session.open(site, TargetLost))
        try:
            await target._meet()
            if is_paired:
                await check_logged(target.control)
        except BaseException:
            target.close()
            raise
        return target

    async def _meet(self) -> None:
        [(packet_bytes_max, server_id, name)] = await self.control.fetch(
            f"SELECT @@max_allowed_packet, @@global.server_id, {Watch.IDENTITY}"
        )
        self.server = await read_identity(self.control)
        self.server_id, self._packet_bytes_max = int(server_id), int(packet_bytes_max)
        self._watch = Watch(self._patient, self._look, name)

    async def _look(self) -> Session:
        return await Session.open(self.site, TargetLost)

    @property
    def blocked(self) -> str | None:
        """Why a command has no answer for so long, or None."""
        return self._watch.blocked if self._watch is not None else None

    async def watch(self, heartbeat_seconds: Callable[[], float]) -> None:
        """See until cancelled after commands that are not answered; raise TargetLost when an answer will not come."""
        assert self._watch is not None
        await self._watch.run(heartbeat_seconds)

    async def witnesses(self) -> list[Witness]:
        """Return what the server remembers of links that have run."""
        return await witness.read(self.control)

    async def held(self) -> Held | None:
        """Return what the link's rows say, without claiming them; None where there are none."""
        return await find(self.control, self._checkpoint.link)

    async def claim(self, begin: Begin, noted: Callable[[Progress], Witness]) -> Claim:
        """Take the link over for the writers that are open; raise what ``Checkpoint.claim`` and ``prepare`` raise."""
        threads: Sequence[int] = [writer.session.thread_id for writer in self._writers]
        try:
            await self._checkpoint.prepare(self.control)
            claim = await self._checkpoint.claim(
                self.control, threads, begin, lambda progress: witness.statement(noted(progress))
            )
        except ServerError as error:
            error.at(target=self.site.name)
            raise
        self._is_claimed = True
        return claim

    async def open_writer(self, slot: int) -> Writer:
        """Open a slot's writer; one that is opened after the claim joins it, or raises Fenced."""
        writer = Writer(slot, await self._open_exact(), self._packet_bytes_max, self._conflicts, self._reached)
        await writer.prepare()
        self._be_patient(writer.session)
        if self._is_claimed:
            await self._checkpoint.add_slot(writer.session, slot)
        self._writers.append(writer)
        return writer

    async def open_session(self) -> Session:
        """Open a session for schema changes, which take as long as they take."""
        session = await self._open_exact()
        self._be_patient(session)
        return session

    async def check(self) -> None:
        """See that the server answers and the claim holds; raise TargetLost, or Fenced where a later run has it."""
        await self._checkpoint.check(self._writers[0].session)

    async def meet(self, origin: str) -> None:
        """See that no other link brings what was born at ``origin``; raise CdcdError where one does."""
        await self._checkpoint.refuse_second_way(self.control, origin)

    def close(self) -> None:
        """Drop all connections; what is open rolls back."""
        for session in self._sessions:
            session.abort()

    async def _open_exact(self) -> Session:
        """Open a session that stores exactly the values that it is given."""
        session = await Session.open(self.site, TargetLost)
        self._sessions.append(session)
        await session.store_exactly()
        return session

    def _be_patient(self, session: Session) -> None:
        session.be_patient()
        self._patient.append(session)
