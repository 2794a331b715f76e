"""Where a run of a link goes on, and what is noted of it so that a later run can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from cdcd.checkpoint import witness
from cdcd.checkpoint.decision import Ends, Witnesses, decide
from cdcd.checkpoint.store import Checkpoint, Claim, Held
from cdcd.checkpoint.witness import StateFiles, Witness
from cdcd.config.schema import Link, Site
from cdcd.errors import CdcdError, SourceLost, TargetLost
from cdcd.model.position import Position, Progress
from cdcd.mysql.flavor import MARIADB
from cdcd.mysql.identity import read_identity
from cdcd.mysql.session import Session
from cdcd.route.rules import Rules
from cdcd.source.start import resolve_start

log = structlog.get_logger()

NOTED_SECONDS = 60


class _Rules(msgspec.Struct):
    """What two links are compared by: which tables they carry."""

    tables: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = {}


def describe(link: Link) -> Witness:
    """Return what is noted of a link before its servers are known."""
    rules = msgspec.json.encode(_Rules(link.tables, link.exclude, link.rename)).decode()
    return Witness(link.name, link.source, link.target, "", "", rules, "")


@dataclass
class Resumption:
    """Claims the checkpoint of one link for its runs, and keeps its witnesses."""

    link: Link
    source: Site
    target: Site
    checkpoint: Checkpoint
    names: Mapping[str, Ends] | None = None  # all links in the file
    state: StateFiles | None = None
    mine: Witness = field(init=False)  # as noted last

    def __post_init__(self) -> None:
        self.mine = describe(self.link)

    async def claim(self, control: Session, source: Session, writers: Sequence[int]) -> Claim:
        """Claim the link for writers with these connection ids, and note that it runs.

        Raises what ``Checkpoint.claim`` raises, CheckpointLost and CheckpointForeign.
        """
        self.mine = replace(
            self.mine, source_server=await read_identity(source), target_server=await read_identity(control)
        )

        async def begin(held: Held | None) -> Progress:
            return await self._begin(held, control, source)

        await self.checkpoint.prepare(control)
        claim = await self.checkpoint.claim(control, writers, begin, lambda at: witness.statement(self._seen(at)))
        self.mine = self._seen(claim.progress)
        await self._note_on(source)
        await self._note_in_file()
        return claim

    async def _begin(self, held: Held | None, control: Session, source: Session) -> Progress:
        """Return where to go on, with what an operator should know said; raise where that cannot be known."""
        files = await asyncio.to_thread(self.state.read) if self.state is not None else []
        witnesses = Witnesses(await witness.read(control), await witness.read(source), files)
        for warned in decide(
            self.mine, held, witnesses, relays=self.link.relay, names=self.names, overlaps=self._overlaps
        ):
            log.warning(warned.event, **warned.facts)
        if held is None:
            return await resolve_start(source, MARIADB, self.link.start, self.mine.source_server)
        position = str(held.progress.position)
        if self.link.start not in ("now", position):
            log.warning("start_not_used", start=self.link.start, position=position)
        return held.progress

    def _overlaps(self, rules: str) -> bool:
        try:
            other = msgspec.json.decode(rules, type=_Rules)
        except msgspec.MsgspecError:
            return True  # Damaged: it may be about any table.
        return Rules(self.link.tables, self.link.exclude).overlaps(Rules(other.tables, other.exclude))

    def _seen(self, progress: Progress) -> Witness:
        return replace(self.mine, position=str(progress.position))

    async def keep(self, written: Callable[[], Position | None]) -> None:
        """Note a position that was written, again and again until cancelled; never raises for what a server says."""
        while True:
            await asyncio.sleep(NOTED_SECONDS)
            await self.note(written())

    def _is_news(self, written: Position | None) -> bool:
        """Whether it was written since it was noted: one that only moved on past cdcd's own notes is no reason."""
        return written is not None and str(written) != self.mine.position

    async def note(self, position: Position | None) -> None:
        """Note a position that was written; a server that does not take it is no reason to stop."""
        if not self._is_news(position):
            return
        self.mine = replace(self.mine, position=str(position))
        await self._note_in_file()
        # A run's own sessions may be in the middle of an answer.
        for site, lost in ((self.target, TargetLost), (self.source, SourceLost)):
            try:
                session = await Session.open(site, lost)
            except CdcdError as error:
                log.info("position_not_noted", site=site.name, error=str(error))
            else:
                await self._note_on(session)
                await session.close()

    async def _note_on(self, session: Session) -> None:
        """Note it on a server that has the table."""
        try:
            await witness.write(session, self.mine)
        except CdcdError as error:
            log.info("position_not_noted", site=session.site.name, error=str(error))

    async def _note_in_file(self) -> None:
        if self.state is not None:
            await asyncio.to_thread(self.state.write, self.mine)
