"""Schema changes that cdcd itself ran on this source, so that they are not sent back.

The announcement names the connection that runs the statement; the log's QUERY event names it too
(``slave_proxy_id`` of its post-header), whatever the server did to the text. Verb and objects must agree
besides, because a server that restarts counts its connections anew.
"""

from __future__ import annotations

from cdcd.binlog.decoder import Transaction
from cdcd.binlog.table_map import own_rows
from cdcd.model.table import TableName

_Key = tuple[int, str, frozenset[TableName]]


class Announced:
    """Announcements that were read and whose statements have not been met yet."""

    def __init__(self) -> None:
        self._waiting: set[_Key] = set()

    def add(self, session: int, verb: str, objects: str) -> None:
        """Note an announcement, its objects as ``cdcd.ddl`` stores them."""
        names = (line.split("\t") for line in objects.split("\n"))
        self._waiting.add((session, verb, frozenset((database, table) for database, table in names)))

    def read(self, transaction: Transaction) -> None:
        """Note what an announcing transaction says."""
        for table, kind, body in transaction.events:
            if table.is_announcement and kind == 0:
                for row in own_rows(table.description, body, kind):
                    self.add(int.from_bytes(row[3], "little"), row[4].decode(), row[5].decode())

    def take(self, session: int, verb: str, objects: tuple[TableName, ...]) -> bool:
        """Return whether this statement was announced, and forget it."""
        key = (session, verb, frozenset(objects))
        if key not in self._waiting:
            return False
        self._waiting.discard(key)
        return True
