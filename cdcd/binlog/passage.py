"""One transaction's events as they are, for a person to read: nothing is refused, and nothing has to fit.

The decoder stops at what it cannot carry exactly. Whoever decides what becomes of such a transaction must see it first.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from cdcd.binlog import query, refusal, table_map
from cdcd.binlog.packets import Packets
from cdcd.errors import CdcdError, MalformedEvent
from cdcd.model.position import Gtid
from cdcd.model.query import Query
from cdcd.model.table import TableName
from cdcd.row.cell import Description

HEADER = 19
ROWS_BYTES_MAX = 4 * 1024 * 1024
QUERY, FORMAT, XID, TABLE_MAP, ROWS, XA_PREPARE, ANNOTATE, GTID = 2, 15, 16, 19, (23, 24, 25), 38, 160, 162
QUERY_COMPRESSED, ROWS_COMPRESSED = 165, (166, 167, 168)
STANDALONE = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """A rows event: ``kind`` is one of ``model.change``; ``body`` is what follows table id and flags."""

    table: Description
    kind: int
    body: bytes


@dataclass(slots=True)
class Passage:
    """Finds one transaction in chunks of a replication stream, and keeps what it holds.

    ``events`` are statements, rows, and texts that name an event which cannot be read. Of a large transaction, the rows
    past the first ROWS_BYTES_MAX are counted in bytes, by table and kind.
    """

    gtid: Gtid
    events: list[Query | Rows | str] = field(default_factory=list)
    left_out: dict[tuple[TableName, int], int] = field(default_factory=dict)
    timestamp: int = 0
    is_open: bool = False
    is_whole: bool = False
    is_past: bool = False  # a later transaction of its domain was met: it is not in the log from here on
    last: Gtid | None = None  # the transaction that was met last
    _packets: Packets = field(default_factory=Packets)
    _checksum: int = 0
    _standalone: bool = False
    _kept: int = 0
    _tables: dict[bytes, Description] = field(default_factory=dict)

    def feed(self, chunk: bytes) -> None:
        """Take a chunk; what follows the transaction is left unread. Raises what the source answers."""
        for payload in self._packets.feed(chunk):
            if payload[:1] != b"\0":
                raise refusal.server_error(payload)
            self._event(payload[1:])
            if self.is_whole or self.is_past:
                return

    def _event(self, event: bytes) -> None:
        kind = event[4]
        if kind == FORMAT:
            self._checksum = 4 * (event[-5] == 1)
            self.is_open = self.is_open and not any(event[HEADER + 52 : HEADER + 56])
            return
        body = event[HEADER : len(event) - self._checksum]
        if kind == GTID:
            self._begin(event, body)
        elif self.is_open:
            if self._checksum and zlib.crc32(event[:-4]) != struct.unpack("<I", event[-4:])[0]:
                self.events.append("the next event fails its CRC32")
            self._read(kind, body)

    def _begin(self, event: bytes, body: bytes) -> None:
        if self.is_open:  # Its own end could not be read.
            self.is_whole = True
            return
        sequence, domain, flags = struct.unpack_from("<QIB", body)
        [timestamp, _, server] = struct.unpack_from("<IBI", event)
        self.last = Gtid(domain, server, sequence)
        self.is_open = self.last == self.gtid
        self.is_past = domain == self.gtid.domain and sequence > self.gtid.sequence
        self.timestamp, self._standalone = timestamp, bool(flags & STANDALONE)

    def _read(self, kind: int, body: bytes) -> None:
        try:
            if kind == TABLE_MAP:
                self._tables[body[:6]] = table_map.parse(body)
            elif kind in ROWS:
                self._rows(body, kind - ROWS[0])
            elif kind in ROWS_COMPRESSED:
                kind -= ROWS_COMPRESSED[0]
                self._rows(table_map.decompress_rows(body, kind), kind)
            elif kind in (QUERY, QUERY_COMPRESSED):
                self._query(query.parse(body, kind == QUERY_COMPRESSED, not self._standalone))
            elif kind not in (XID, XA_PREPARE, ANNOTATE):
                self.events.append(f"{refusal.named(kind)} of {len(body)} bytes")
        except CdcdError as error:
            self.events.append(f"{refusal.named(kind)} of {len(body)} bytes that cannot be read: {error.message}")
            self.is_whole = self._standalone and kind in (QUERY, QUERY_COMPRESSED)
        self.is_whole = self.is_whole or kind in (XID, XA_PREPARE)

    def _rows(self, body: bytes, kind: int) -> None:
        if (table := self._tables.get(body[:6])) is None:
            raise MalformedEvent("it names a table that no TABLE_MAP announced")
        self._kept += len(body)
        if self._kept <= ROWS_BYTES_MAX:
            self.events.append(Rows(table, kind, body[8:]))
        else:
            key = (table.name, kind)
            self.left_out[key] = self.left_out.get(key, 0) + len(body)

    def _query(self, found: Query) -> None:
        verb = query.control(found.statement)
        self.is_whole = self._standalone or verb in ("commit", "rollback")
        if verb not in ("commit", "begin"):
            self.events.append(found)
