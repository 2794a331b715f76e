"""Schema changes that cdcd itself ran on this source, so that they are not sent back.

The announcement names the connection that runs the statement; the log's QUERY event names it too
(``slave_proxy_id`` of its post-header), whatever the server did to the text. Verb, objects and time must agree
besides, because a server that restarts counts its connections anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cdcd.binlog.table_map import own_rows
from cdcd.binlog.transaction import Transaction
from cdcd.model.table import TableName

# A statement is begun as soon as it is announced; more than this apart, a later connection has the same number.
APART_SECONDS_MAX = 600
_DELETE = 2
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """One row of ``cdcd.ddl``; ``at`` is in microseconds of the source's clock."""

    link: str
    session: int
    verb: str
    objects: frozenset[TableName]
    at: int

    @classmethod
    def of(cls, link: str, session: int, verb: str, objects: str, at: int) -> Announcement:
        """Take a row's values, the objects as ``cdcd.ddl`` stores them."""
        names = (line.split("\t") for line in objects.split("\n"))
        return cls(link, session, verb, _folded((database, table) for database, table in names), at)


class Announced:
    """Announcements whose statements have not been met yet."""

    def __init__(self) -> None:
        self._waiting: set[Announcement] = set()

    def expect(self, announcement: Announcement) -> None:
        """Note an announcement that may lie before the place where reading begins."""
        self._waiting.add(announcement)

    def read(self, transaction: Transaction) -> None:
        """Note what an announcing transaction says."""
        for table, kind, body in transaction.events:
            if table.is_announcement and kind != _DELETE:
                for row in own_rows(table.description, body, kind):
                    self._follow(_from_log(row))

    def _follow(self, announcement: Announcement) -> None:
        """A link runs one statement after the other: what it announced before has run, or never will."""
        self._waiting = {
            other for other in self._waiting if other.link != announcement.link or other.at > announcement.at
        }
        self._waiting.add(announcement)

    def take(self, session: int, verb: str, objects: Iterable[TableName], timestamp: int) -> bool:
        """Return whether this statement, begun at ``timestamp`` in seconds, was announced, and forget it.

        A DROP TABLE that found only some of its tables is logged with those.
        """
        names = _folded(objects)
        for waiting in self._waiting:
            if (
                (waiting.session, waiting.verb) == (session, verb)
                and names
                and names <= waiting.objects
                and abs(timestamp - waiting.at // _MICROSECONDS) <= APART_SECONDS_MAX
            ):
                self._waiting.discard(waiting)
                return True
        return False


def _folded(names: Iterable[TableName]) -> frozenset[TableName]:
    """A server with lower_case_table_names writes names back in lower case."""
    return frozenset((database.lower(), table.lower()) for database, table in names)


def _from_log(row: list[bytes]) -> Announcement:
    stamp = int.from_bytes(row[8][:4], "big") * _MICROSECONDS + int.from_bytes(row[8][4:7], "big")
    return Announcement.of(row[0].decode(), int.from_bytes(row[3], "little"), row[4].decode(), row[5].decode(), stamp)
