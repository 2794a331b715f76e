"""Schema changes that cdcd itself ran on this source, so that they are not sent back.

The announcement names the connection that runs the statement, and the time that the statement carries, which is
that of the original on its own server; the log's QUERY event says both too (``slave_proxy_id`` of its post-header,
its header's time and ``Q_HRNOW``), whatever the server did to the text. A server that restarts counts its
connections anew, but another statement of the same number cannot have the time of one that was announced earlier.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cdcd.binlog.table_map import own_rows
from cdcd.model.change import DELETE
from cdcd.model.position import Gtid
from cdcd.model.query import Query
from cdcd.model.table import TableName
from cdcd.row.transaction import Transaction

_STATE_BEFORE = 7  # its column in cdcd.ddl
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """One row of ``cdcd.ddl``; ``at`` is the statement's own time in microseconds."""

    link: str
    gtid: Gtid  # of the original
    origin: str
    session: int
    verb: str
    objects: frozenset[TableName]
    at: int

    @classmethod
    def of(cls, link: str, gtid: str, origin: str, session: int, verb: str, objects: str, at: int) -> Announcement:
        """Take a row's values, the objects as ``cdcd.ddl`` stores them."""
        names = (line.split("\t") for line in objects.split("\n"))
        return cls(
            link, Gtid.parse(gtid), origin, session, verb, folded((database, table) for database, table in names), at
        )

    def is_of(self, query: Query, verb: str, objects: Iterable[TableName], timestamp: int) -> bool:
        """Return whether this announces a statement of the given time, in seconds.

        A DROP TABLE that found only some of its tables may be logged with those.
        """
        names = folded(objects)
        seconds, microseconds = divmod(self.at, _MICROSECONDS)
        return (
            (self.session, self.verb, seconds) == (query.thread_id, verb, timestamp)
            and query.microseconds in (None, microseconds)
            and bool(names)
            and names <= self.objects
        )


class Announced:
    """Announcements whose statements have not been met yet."""

    def __init__(self) -> None:
        self._loaded: set[Announcement] = set()
        self._read: dict[str, Announcement] = {}  # by link: it runs one statement after the other

    def expect(self, announcement: Announcement) -> None:
        """Note an announcement that may lie before the place where reading begins, or far behind it."""
        self._loaded.add(announcement)

    def read(self, transaction: Transaction) -> None:
        """Note what an announcing transaction says."""
        for announcement in announcements(transaction):
            self._loaded.discard(announcement)
            self._read[announcement.link] = announcement

    def may_be(self, query: Query, verb: str, objects: Iterable[TableName]) -> Announcement | None:
        """Return an announcement that a statement may be of which the source logged while it recovered from a crash.

        Of its time and its connection the log then tells nothing.
        """
        names = folded(objects)
        waiting = (*self._read.values(), *self._loaded)
        of_kind = (one for one in waiting if one.verb == verb and bool(names) and names <= one.objects)
        return next(of_kind, None) if query.is_recovered else None

    def take(self, query: Query, verb: str, objects: Iterable[TableName], timestamp: int) -> Announcement | None:
        """Return the announcement of this statement, begun at ``timestamp`` in seconds, and forget it."""
        names = list(objects)
        for waiting in (*self._read.values(), *self._loaded):
            if waiting.is_of(query, verb, names, timestamp):
                self._loaded.discard(waiting)
                if self._read.get(waiting.link) == waiting:
                    del self._read[waiting.link]
                return waiting
        return None


def announcements(transaction: Transaction) -> list[Announcement]:
    """Return what a transaction announces; a row that is made void announces nothing anew."""
    return [
        _from_log(row)
        for table, kind, body in transaction.events
        if table.is_announcement and kind != DELETE
        for row in own_rows(table.description, body, kind)
        if row[_STATE_BEFORE]
    ]


def folded(names: Iterable[TableName]) -> frozenset[TableName]:
    """Return names in lower case, as a server with lower_case_table_names writes them back."""
    return frozenset((database.lower(), table.lower()) for database, table in names)


def _from_log(row: list[bytes]) -> Announcement:
    stamp = int.from_bytes(row[8][:4], "big") * _MICROSECONDS + int.from_bytes(row[8][4:7], "big")
    link, gtid, origin, verb, objects = (row[at].decode() for at in (0, 1, 2, 4, 5))
    return Announcement.of(link, gtid, origin, int.from_bytes(row[3], "little"), verb, objects, stamp)
