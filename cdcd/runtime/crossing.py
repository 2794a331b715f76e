"""Whether a link's rows and a schema change of its target crossed on their ways.

A statement of the target, carried here by the opposite link, comes after the rows that were written here before it.
Those that reached the target after its original met the changed table there. The target's log tells: they are what
this link committed there after the original. It is read once: each question reads on from where the last one ended.
Of each table the last change is kept, so that what is held does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from cdcd.config.schema import Link, Site
from cdcd.errors import BinlogPurged, UnsupportedEvent
from cdcd.model.position import Gtid, Position, Progress
from cdcd.model.table import CHECKPOINT, TableName
from cdcd.mysql import answers
from cdcd.mysql.session import Session
from cdcd.route.announced import Announcement, announcements, folded
from cdcd.row.transaction import Transaction
from cdcd.source.second_reading import read_again

_INSERT = 0


class _Change(NamedTuple):
    """What the link committed on its target in one transaction, or was about to change there by a statement."""

    gtid: Gtid
    tables: frozenset[TableName]
    removed: TableName | None  # one of which it changed or deleted rows


@dataclass(frozen=True, slots=True)
class _Changed:
    """What the link has changed on its target, and the last transaction that did."""

    tables: dict[TableName, Gtid] = field(default_factory=dict)
    removed: dict[TableName, Gtid] = field(default_factory=dict)  # rows of them were changed or deleted

    def after(self, original: Gtid) -> _Changed:
        """Return what of it came after another transaction of its stream."""
        return _Changed(
            *(
                {name: gtid for name, gtid in changes.items() if gtid.follows(original)}
                for changes in (self.tables, self.removed)
            )
        )

    def note(self, change: _Change) -> None:
        """Add what a later transaction changed."""
        self.tables.update(dict.fromkeys(change.tables, change.gtid))
        if change.removed is not None:
            self.removed[change.removed] = change.gtid


@dataclass(slots=True)
class Crossings:
    """What a link has committed on its target, as far back as was asked.

    ``reader`` is the server_id under which the link reads its source.
    """

    session: Session
    target: Site
    link: Link
    reader: int
    _read: tuple[Gtid, Gtid] | None = None  # of the target's log: from after the one up to the other
    _changed: _Changed = field(default_factory=_Changed)

    async def find(
        self, announcement: Announcement, objects: Iterable[TableName], *, unbinds: bool = False
    ) -> TableName | None:
        """Return a table of ``objects``, named as on the target, that the link changed there after the original.

        ``unbinds``: foreign keys are gone, and nothing tells any more to which tables they referred, so any table
        counts of which rows were changed or deleted. Everything before the statement is committed there. Raises
        BinlogPurged and UnsupportedEvent where that cannot be told, and what reading a log raises.
        """
        original = announcement.gtid
        await self._read_on(original)
        names = folded(objects)
        if unbinds and self._changed.removed:
            return next(iter(self._changed.removed))
        crossed = (name for name in self._changed.tables if not names.isdisjoint(folded([name, (name[0], "")])))
        return next(crossed, None)

    async def _read_on(self, original: Gtid) -> None:
        """Read the target's log on, to its end, from a statement of its own or from where that was done before."""
        [(logged, stream)] = await self.session.fetch(self.session.flavor.log.written_here)
        if original.stream != stream:
            raise UnsupportedEvent(
                f"the original of a schema change, {original}, is in another GTID domain of {self.link.target} than"
                " what the link writes there, so nothing tells which came first",
                hint="use one gtid_domain_id on the target; compare both sides, then cdcd skip the statement",
            )
        end = Position.parse(answers.text(logged))
        own = end.within(stream)
        is_read = self._read is not None and not (self._read[0].follows(original) or original.follows(self._read[1]))
        since = self._read[1] if self._read is not None and is_read else original
        changed = self._changed.after(original) if is_read else _Changed()
        try:
            if any(gtid.follows(since) for gtid in own):
                await self._note_between(Progress(end.after([since])), own, changed)
        except BinlogPurged as error:
            error.hint = (
                f"{self.link.target} has purged the log that tells whether rows crossed a schema change on their way:"
                " compare both sides of its tables, then cdcd skip the statement on this link"
            )
            raise error.at(original=original) from None
        self._changed, self._read = changed, (original, next(iter(own), since))

    async def _note_between(self, start: Progress, end: Position, changed: _Changed) -> None:
        reading = read_again(self.target, self.link, self.reader, "crossing", start, end, marked=True)
        async with aclosing(reading) as transactions:
            async for transaction in transactions:
                if change := _change(transaction, self.link):
                    changed.note(change)


def _change(transaction: Transaction, link: Link) -> _Change | None:
    if transaction.is_announcement:
        announced = (one.objects for one in announcements(transaction) if one.link == link.name)
        return _Change(transaction.gtid, frozenset[TableName]().union(*announced), None)
    if transaction.origin != link.source:
        return None
    tables = frozenset(table.description.name for table in transaction.tables)
    removed = (table.description.name for table, kind, _ in transaction.events if kind != _INSERT)
    return _Change(transaction.gtid, tables, next((name for name in removed if name[0] != CHECKPOINT[0]), None))
