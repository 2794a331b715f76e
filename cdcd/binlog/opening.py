"""Where in a source's log the first transaction of a replication stream begins."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from cdcd.binlog.packets import Packets
from cdcd.binlog.passage import FORMAT, GTID, HEADER
from cdcd.model.position import Coordinates

ROTATE, HEARTBEAT = 4, 27
# STOP, BINLOG_CHECKPOINT, GTID_LIST, START_ENCRYPTION: they stand between transactions.
BETWEEN = frozenset({3, 161, 163, 164})


@dataclass(slots=True)
class Opening:
    """Follows the head of a stream, up to its first transaction.

    ``at`` is the place where that begins; until it is met, and where what comes first has no GTID, the file in hand
    without an offset. Whether the events can be used is left to the decoder.
    """

    at: Coordinates  # at first of the server alone
    is_met: bool = False
    is_over: bool = False  # the source has sent all that it has, and waits for more
    _packets: Packets = field(default_factory=Packets)

    def feed(self, chunk: bytes) -> None:
        """Take a chunk; what follows the beginning of a transaction is left unread."""
        for payload in self._packets.feed(chunk):
            if len(payload) > HEADER and payload[0] == 0:
                self._event(payload[1:])
            if self.is_met:
                return

    def _event(self, event: bytes) -> None:
        time, kind, _, length, end = struct.unpack_from("<IBIII", event)
        if kind == ROTATE:
            # The first comes before the format says whether it has a CRC32.
            ends = -4 if zlib.crc32(event[:-4]) == int.from_bytes(event[-4:], "little") else None
            self.at = self.at._replace(file=event[HEADER + 8 : ends].decode("utf-8", "replace"), began=0)
        elif kind == FORMAT:
            self.at = self.at._replace(began=time)
        elif kind == HEARTBEAT:
            self.is_over = True
        elif kind not in BETWEEN:
            self.is_met = True
            if kind == GTID:
                self.at = self.at._replace(offset=end - length)
