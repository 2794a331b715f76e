"""Whether a link's rows and a schema change of its target crossed on their ways.

A statement of the target, carried here by the opposite link, comes after the rows that were written here before it.
Those that reached the target after its original met the changed table there. The target's log tells: they are what
this link committed there after the original.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import aclosing

from cdcd.config.schema import Link, Site
from cdcd.errors import BinlogPurged, UnsupportedEvent
from cdcd.model.position import Position, Progress
from cdcd.model.table import CHECKPOINT, TableName
from cdcd.mysql.session import Session
from cdcd.route.announced import Announcement, announcements, folded
from cdcd.row.transaction import Transaction
from cdcd.runtime.second_reading import read_again

_INSERT = 0


async def crossed(
    session: Session,
    target: Site,
    link: Link,
    reader: int,
    announcement: Announcement,
    objects: Iterable[TableName],
    *,
    unbinds: bool = False,
) -> TableName | None:
    """Return a table of ``objects``, named as on the target, that the link changed there after the original.

    ``reader`` is the server_id under which the link reads its source. ``unbinds``: foreign keys are gone, and nothing
    tells any more to which tables they referred, so any table counts of which rows were changed or deleted.
    Everything before the statement is committed there. Raises BinlogPurged and UnsupportedEvent where that cannot
    be told, and what reading a log raises.
    """
    [(logged, domain)] = await session.fetch("SELECT @@GLOBAL.gtid_binlog_pos, @@SESSION.gtid_domain_id")
    end = Position.parse(logged.decode() if isinstance(logged, bytes) else logged)
    original = announcement.gtid
    if original.domain != domain:
        raise UnsupportedEvent(
            f"the original of a schema change, {original}, is in another GTID domain of {link.target} than what the"
            " link writes there, so nothing tells which came first",
            hint="use one gtid_domain_id on the target; compare both sides, then cdcd skip the statement",
        )
    own = frozenset(gtid for gtid in end if gtid.domain == domain)
    names = folded(objects)
    start = Progress(end.after([original]))
    reading = read_again(target, link, reader, f"crossing/{original}", start, Position(own), marked=True)
    try:
        async with aclosing(reading) as transactions:
            async for transaction in transactions:
                if unbinds and (removed := _removed(transaction, link)) is not None:
                    return removed
                for table in _changed(transaction, link):
                    if not names.isdisjoint(folded([table, (table[0], "")])):
                        return table
    except BinlogPurged as error:
        error.hint = (
            f"{link.target} has purged the log that tells whether rows crossed a schema change on their way: compare"
            " both sides of its tables, then cdcd skip the statement on this link"
        )
        raise error.at(original=original) from None
    return None


def _changed(transaction: Transaction, link: Link) -> Collection[TableName]:
    """Return the tables that the link changed in a transaction, or was about to change by a statement."""
    if transaction.is_announcement:
        announced = (one.objects for one in announcements(transaction) if one.link == link.name)
        return frozenset[TableName]().union(*announced)
    if transaction.origin != link.source:
        return ()
    return [table.description.name for table in transaction.tables]


def _removed(transaction: Transaction, link: Link) -> TableName | None:
    """Return a table of which the link changed or deleted rows."""
    if transaction.origin != link.source or transaction.is_announcement:
        return None
    names = (table.description.name for table, kind, _ in transaction.events if kind != _INSERT)
    return next((name for name in names if name[0] != CHECKPOINT[0]), None)
