"""Payloads out of chunks of a replication stream, in Python: for those who read little of one."""

from __future__ import annotations

from collections.abc import Iterator

PACKET_MAX = 0xFFFFFF


class Packets:
    """Cuts chunks into payloads, each a status byte and an event or an error."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk and yield whole payloads; one over several packets ends with a packet that is not full."""
        self._buffer += chunk
        at = taken = 0
        payload = b""
        try:
            while len(self._buffer) - at >= 4:
                length = int.from_bytes(self._buffer[at : at + 3], "little")
                if len(self._buffer) - at - 4 < length:
                    break
                payload += self._buffer[at + 4 : at + 4 + length]
                at += 4 + length
                if length < PACKET_MAX:
                    whole, payload, taken = payload, b"", at
                    yield whole
        finally:
            self._buffer = self._buffer[taken:]
