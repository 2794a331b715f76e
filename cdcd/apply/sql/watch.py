"""See after commands that the target does not answer: does it work on them, or will no answer ever come?

A writer waits for as long as a statement takes, a lock or a schema change of hours included. A tunnel or a firewall
that forgot the connection keeps its side open, so nothing tells that the answer is lost. So after a while another
session asks the target what the writer's thread does. One that works is waited for, and the link says so. One that
is gone, or sleeps since it has nothing to do, means a lost command or a lost answer: the link connects anew, and the
checkpoint says which. Not answering that question is an answer too.

Such a thread also sleeps while a command is still on its way to it. What this side still holds says that it is, and
each byte that another machine may hold adds to the patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import structlog

from cdcd.errors import AccessDenied, CdcdError, Lost, ServerError, TargetLost
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.session import Waiting, is_full

log = structlog.get_logger()

# So many heartbeats without an answer are a reason to look; each later heartbeat looks again.
SILENT_HEARTBEATS = 3
# A way to the target that is slower than this may lose its connection under a large batch.
BYTES_PER_SECOND_MIN = 16 * 1024
CLOCK_SECONDS = 2


class Watched(Protocol):
    """A session that waits for as long as it takes (``mysql.session.Session``)."""

    @property
    def thread_id(self) -> int:
        """The server's id of this connection."""

    @property
    def waiting(self) -> Waiting | None:
        """The command whose answer is awaited."""


class Asking(Protocol):
    """A session for questions, which gives up on a server that does not answer."""

    @property
    def flavor(self) -> Flavor:
        """Of the server."""

    @property
    def thread_id(self) -> int:
        """The server's id of this connection."""

    async def fetch(self, query: str) -> list[tuple[object, ...]]:
        """Run a query and return its rows."""

    def abort(self) -> None:
        """Drop the connection."""


class Thread(NamedTuple):
    """What the server says of a connection."""

    sleeps: bool
    state: str


class Watch:
    """Looks after the sessions of one run of a link. ``server`` is what ``IDENTITY`` gives on their server."""

    IDENTITY = "CONCAT_WS('/', @@hostname, @@port, @@server_id)"

    def __init__(
        self,
        sessions: Iterable[Watched],
        open_session: Callable[[], Awaitable[Asking]],
        server: str,
    ) -> None:
        self._sessions, self._open, self._server = sessions, open_session, server
        self._asking: Asking | None = None
        self._suspects: dict[int, Waiting] = {}  # asleep or gone at the last look, by thread
        self.blocked: str | None = None  # why nothing moves, for whoever looks at the link

    async def run(self, heartbeat_seconds: Callable[[], float]) -> None:
        """Look until cancelled, each heartbeat; raise TargetLost when an answer will not come."""
        try:
            while True:
                await asyncio.sleep(heartbeat_seconds())
                await self.look(heartbeat_seconds())
        finally:
            self._end()

    async def look(self, heartbeat_seconds: float) -> None:
        """Ask the target about every session that has waited for long."""
        patience = SILENT_HEARTBEATS * heartbeat_seconds
        waiting = {
            session.thread_id: (session, command)
            for session in self._sessions
            if (command := session.waiting) is not None and command.seconds > patience
        }
        if not waiting:
            if self.blocked:
                log.info("target_answered")
            self._end()
            return
        try:
            threads = await self._threads(waiting)
        except (AccessDenied, ServerError, TargetLost) as error:
            if isinstance(error, Lost) and not is_full(error):
                raise
            self._tell(max(command.seconds for _, command in waiting.values()), f"can't look why: {error.message}")
            return
        for thread_id, (session, before) in waiting.items():
            command = session.waiting
            if command is not None and command.number == before.number:
                self._judge(thread_id, command, patience, threads)

    def _judge(self, thread_id: int, command: Waiting, patience: float, threads: Mapping[int, Thread] | None) -> None:
        thread = threads.get(thread_id) if threads is not None else Thread(sleeps=False, state="behind a proxy")
        if thread is not None and not thread.sleeps:
            self._suspects.pop(thread_id, None)
            self._tell(command.seconds, f"it works on a statement ({thread.state or 'running'})")
            return
        earlier = self._suspects.get(thread_id)
        self._suspects[thread_id] = command
        found = "the session is gone there" if thread is None else "the session sleeps there"
        self._tell(command.seconds, found)
        if earlier is None or earlier.number != command.number:
            return
        if thread is not None:
            moves = earlier.bytes_held != command.bytes_held
            if moves or command.seconds < patience + command.bytes_sent / BYTES_PER_SECOND_MIN:
                return
        raise TargetLost(f"no answer from the target for {command.seconds:.0f} s, and {found}").at(session=thread_id)

    async def _threads(self, waiting: Mapping[int, tuple[Watched, Waiting]]) -> dict[int, Thread] | None:
        """Return what the server's threads do, by id; None where the ids that this side knows are not the server's."""
        if self._asking is None:
            self._asking = await self._open()
        try:
            uptime_now = self._asking.flavor.catalog.status_value.format(name="UPTIME")
            [(me, server, uptime)] = await self._asking.fetch(
                f"SELECT CONNECTION_ID(), {self.IDENTITY}, {uptime_now} LIMIT 1"
            )
            rows = await self._asking.fetch(
                "SELECT id, command, state FROM information_schema.processlist"
                f" WHERE id IN ({','.join(map(str, waiting))}) AND id <> CONNECTION_ID()"
            )
        except CdcdError:
            self._end()
            raise
        if me != self._asking.thread_id or server != self._server:
            return None
        if float(str(uptime)) + CLOCK_SECONDS < max(command.seconds for _, command in waiting.values()):
            return {}  # The server was started since, and gives the same ids again.
        return {int(str(row[0])): Thread(row[1] == "Sleep", str(row[2] or "")) for row in rows}

    def _tell(self, seconds: float, why: str) -> None:
        if self.blocked is None:
            log.warning("target_blocked", seconds=round(seconds, 1), why=why)
        self.blocked = f"no answer from the target for {seconds:.0f} s: {why}"

    def _end(self) -> None:
        self._suspects.clear()
        self.blocked = None
        if self._asking is not None:
            self._asking.abort()
            self._asking = None
