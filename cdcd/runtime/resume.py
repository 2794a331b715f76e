"""Where a run of a link goes on, and what is noted of it so that a later run can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from cdcd.apply.contract import Target
from cdcd.checkpoint import witness
from cdcd.checkpoint.decision import Ends, Warned, Witnesses, decide
from cdcd.checkpoint.store import Claim, Held
from cdcd.checkpoint.witness import StateFiles, Witness
from cdcd.config.schema import Link, Site
from cdcd.errors import CdcdError, SourceLost, TargetLost
from cdcd.model.position import Position, Progress
from cdcd.mysql.identity import read_identity
from cdcd.mysql.session import Session
from cdcd.route.rules import Rules
from cdcd.source.probe import begin, check_lead

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
    names: Mapping[str, Ends] | None = None  # all links in the file
    state: StateFiles | None = None
    mine: Witness = field(init=False)  # as noted last

    def __post_init__(self) -> None:
        self.mine = describe(self.link)

    async def claim(self, target: Target, source: Session) -> Claim:
        """Claim the link, and note that it runs; raise what a target's claim does, and CheckpointForeign."""
        await self._meet(target, source)

        async def begin(held: Held | None) -> Progress:
            progress, warned = await self._decide(held, await self._witnesses(target, source), source)
            for each in warned:
                log.warning(each.event, **each.facts)
            return progress

        claim = await target.claim(begin, self._seen)
        self.mine = self._seen(claim.progress)
        await self._note_on(source)
        await self._note_in_file()
        return claim

    async def look(self, target: Target, source: Session) -> list[Warned]:
        """Return what a run that began now would warn of, and raise what would stop it there.

        Nothing is claimed, locked or written, and a run of the link is not disturbed. Raises LayoutMismatch,
        CheckpointLost, CheckpointForeign; CdcdError, BinlogPurged, SourceRewound or BinlogError where the source does
        not lead on; what the connections raise.
        """
        await self._meet(target, source)
        # In this order: while the link runs, its rows are never behind what was noted of it before.
        witnesses = await self._witnesses(target, source)
        held = await target.held()
        progress, warned = await self._decide(held, witnesses, source)
        if held is not None:
            await check_lead(source, self.source, self.link, self.mine.source_server, progress)
        return warned

    async def _meet(self, target: Target, source: Session) -> None:
        self.mine = replace(self.mine, source_server=await read_identity(source), target_server=target.server)

    async def _witnesses(self, target: Target, source: Session) -> Witnesses:
        files = await asyncio.to_thread(self.state.read) if self.state is not None else []
        return Witnesses(await target.witnesses(), await witness.read(source), files)

    async def _decide(self, held: Held | None, witnesses: Witnesses, source: Session) -> tuple[Progress, list[Warned]]:
        """Return where to go on, and what an operator should know; raise where that cannot be known."""
        warned = decide(self.mine, held, witnesses, relays=self.link.relay, names=self.names, overlaps=self._overlaps)
        start = self.link.start
        if held is None:
            return await begin(source, self.source, self.link, start, self.mine.source_server), warned
        position = str(held.progress.position)
        if start not in ("now", position):
            warned.append(Warned("start_not_used", {"start": start, "position": position}))
        return held.progress, warned

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
