"""Commands on their way to a target, and what it must answer: the next is sent while it works on the first."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from cdcd.apply.sql.altered import Opens
from cdcd.apply.sql.marker import check
from cdcd.apply.sql.marker_event import MarkerRefusedError
from cdcd.apply.sql.statement import Statement
from cdcd.errors import ServerError, TargetBusy
from cdcd.model.change import UPDATE
from cdcd.mysql import codes
from cdcd.mysql.session import Answer, Session

# Sent and not answered: enough that the server never waits for the next command.
UNANSWERED_BYTES_MAX = 1024 * 1024


class MismatchError(Exception):
    """The target refuses a statement of many changes, or its rows are not what they expect.

    The partition is run again in another mode; the last, one change at a time, decides the conflict, or finds the one
    change that is refused. ``by_count``: a statement went through, and met other rows than it should. ``by_form``: what
    is refused is the change as SQL, and a row event of it may be taken.
    """

    def __init__(self, message: str, *, by_count: bool = False, by_form: bool = False) -> None:
        super().__init__(message)
        self.by_count = by_count
        self.by_form = by_form


class OpensMovedError(Exception):
    """The guard before COMMIT has failed: the tables of the transaction must be looked at."""


class MarkedByEvent:
    """The marker as an event: without an error it has found this run's row."""

    is_exact = False

    def check(self, answer: Answer) -> None:
        """Whatever it answers will do."""


class Marked:
    """The marker: it must find this run's row."""

    is_exact = False

    def check(self, answer: Answer) -> None:
        """Raise Fenced when there was none. What follows in the packet has run, and holds a marker all the same."""
        check(answer.matched)


class AsExpected:
    """After a statement, before a COMMIT in the same packet: fails where it met other rows than it should.

    Which of them contradict it must be found out, and told, before they are overwritten for good.
    """

    is_exact = False

    def __init__(self, statement: Statement) -> None:
        matched = str(statement.matched).encode()
        self.sql = b"SET @cdcd_fence=18446744073709551614+IF(ROW_COUNT()=" + matched + b",1,2)"

    def check(self, answer: Answer) -> None:
        """Whatever it answers will do."""


def _tells_by_count(statement: Statement) -> bool:
    """Whether another count than the expected one says what was met.

    Of several changes it does not say which; and a single upsert of an UPDATE is answered alike where it made the
    row anew and where the row had its values already.
    """
    return statement.rows == 1 and statement.kind != UPDATE


Expected = Statement | Marked | MarkedByEvent | AsExpected | Opens | None
"""What decides whether an answer is right; None: any answer is."""


@dataclass(slots=True)
class Packet:
    """Statements that go to the server as one command."""

    texts: list[bytes] = field(default_factory=list)
    statements: list[Expected] = field(default_factory=list)
    size: int = 0

    def add(self, text: bytes, statement: Expected = None) -> None:
        """Add a statement; ``statement`` says what it must be answered, None that any answer will do."""
        self.texts.append(text)
        self.statements.append(statement)
        self.size += len(text)

    def fenced(self) -> Packet:
        """Return the packet with a fence after each statement whose count alone tells no conflict."""
        packet = Packet()
        for text, statement in zip(self.texts, self.statements, strict=True):
            packet.add(text, statement)
            if isinstance(statement, Statement) and not _tells_by_count(statement):
                fence = AsExpected(statement)
                packet.add(fence.sql, fence)
        return packet

    @property
    def is_exact(self) -> bool:
        """Whether an answer decides if what it holds may be committed."""
        return any(each is not None and each.is_exact for each in self.statements)


class Exchange:
    """What was sent in one target transaction and is not answered yet, in order.

    A failure does not keep the server from running what was sent after it, so nothing that commits may be
    sent before everything else is answered.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unanswered: deque[Packet] = deque()
        self._bytes = 0
        self.mismatched: list[Statement] = []  # statements of one change, which the target's row does not match
        self.packets = 0
        self.seconds = 0.0  # spent waiting for answers

    async def send(self, packet: Packet) -> None:
        """Send a packet; wait for answers only where too much is on its way. Raises as :meth:`finish`."""
        while self._unanswered and self._bytes + packet.size > UNANSWERED_BYTES_MAX:
            await self._answer()
        await self._session.send(packet.texts)
        await self._sent(packet)

    async def ask(self, opens: Opens) -> None:
        """Send the question how many tables the server has opened."""
        await self._session.send_opens()
        await self._sent(Packet(statements=[opens]))

    async def _sent(self, packet: Packet) -> None:
        self._unanswered.append(packet)
        self._bytes += packet.size
        self.packets += 1
        await asyncio.sleep(0)  # The loop writes to the socket; what follows may keep it from that for a while.

    async def finish(self) -> None:
        """Wait until everything is answered.

        Raises MismatchError where the target refuses a statement or an exact one matches other rows than
        it should; MarkerRefusedError, OpensMovedError, TargetBusy, TargetLost.
        """
        while self._unanswered:
            await self._answer()

    async def _answer(self) -> None:
        packet = self._unanswered.popleft()
        self._bytes -= packet.size
        started = time.monotonic()
        try:
            answers = await self._session.receive()
            self.seconds += time.monotonic() - started
            for statement, answer in zip(packet.statements, answers, strict=True):
                if isinstance(statement, Statement):
                    self._check(statement, answer.matched)
                elif statement is not None:
                    statement.check(answer)
        except ServerError as error:
            await self._pass_over()
            refused = packet.statements[error.answered]
            if isinstance(refused, MarkedByEvent):
                raise MarkerRefusedError(error.message) from error
            if isinstance(refused, Opens) and refused.is_refusal(error):
                raise OpensMovedError from error
            is_empty_shape = error.code == codes.NO_GEOMETRY
            raise MismatchError(
                error.message, by_count=error.code == codes.OUT_OF_RANGE, by_form=is_empty_shape
            ) from error
        except (TargetBusy, MismatchError):
            await self._pass_over()
            raise

    def _check(self, statement: Statement, matched: int) -> None:
        if matched == statement.matched:
            return
        if statement.is_exact or not _tells_by_count(statement):
            raise MismatchError(f"{matched} rows matched, {statement.matched} expected", by_count=True)
        self.mismatched.append(statement)

    async def _pass_over(self) -> None:
        """Take the answers to what will be rolled back."""
        while self._unanswered:
            self._unanswered.popleft()
            with suppress(ServerError, TargetBusy):
                await self._session.receive()
        self._bytes = 0
