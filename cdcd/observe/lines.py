"""Lines on their way out: the one who logs never waits for the one who reads.

A full disk, a pipe whose reader stands still or is gone, a terminal that is stopped: each would block the event
loop, or end the process. So a thread of its own writes, from a queue that is bounded in bytes; what does not fit is
dropped and counted, and the count is a line of its own once lines flow again. The descriptor may be shared with
other programs, so its flags are left as they are.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable

HELD_BYTES_MAX = 1024 * 1024
# Written at once: few calls where many lines wait.
CHUNK_BYTES = 64 * 1024
# A full disk is tried again after so long, as long as there is something to write.
RETRY_SECONDS = 1.0

Write = Callable[[memoryview], int]


def to_descriptor(descriptor: int) -> Write:
    """Return what writes to an open file, pipe, socket or terminal, and waits for it."""

    def write(data: memoryview) -> int:
        while True:
            try:
                return os.write(descriptor, data)
            except BlockingIOError:  # Another program has made it non-blocking.
                select.select([], [descriptor], [])

    return write


class LineWriter:
    """Writes lines in order, from a daemon thread.

    ``tell`` renders the line that says how many were dropped since the last such line.
    """

    def __init__(self, write: Write, tell: Callable[[int], bytes]) -> None:
        self._write, self._tell = write, tell
        self._waiting: deque[bytes] = deque()
        self._held_bytes = 0  # waiting, or in the thread's hands
        self._held_lines = 0
        self._dropped = self._told = 0
        self._closed = False
        self.failing = False  # the last attempt to write was an error
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines nobody will read."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Take a line, without its end; drop it while too much waits."""
        with self._changed:
            if self._closed or (self._held_bytes and self._held_bytes + len(line) > HELD_BYTES_MAX):
                self._dropped += 1
                return
            self._waiting.append(line + b"\n")
            self._held_bytes += len(line) + 1
            self._held_lines += 1
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Wait until what was taken is written, but no longer than this, nor for what can't be written."""
        with self._changed:
            self._changed.wait_for(lambda: self.failing or not self._held_lines, seconds)

    def close(self, seconds: float) -> None:
        """Write what was taken, within this time; what is left then is dropped."""
        self.flush(seconds)
        with self._changed:
            self._closed = True
            self._dropped += self._held_lines
            self._held_lines = 0
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            lines, data = taken
            if not self._write_all(data):
                return
            with self._changed:
                if not self._closed:
                    self._held_lines -= lines
                    self._held_bytes -= len(data)
                self._changed.notify_all()

    def _take(self) -> tuple[int, bytes] | None:
        """Wait for lines; return how many and their text, with the news of dropped ones last. None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed or self._dropped > self._told)
            if self._closed:
                return None
            lines, size = [], 0
            while self._waiting and size < CHUNK_BYTES:
                lines.append(self._waiting.popleft())
                size += len(lines[-1])
            if not self._waiting and self._dropped > self._told:
                lines.append(self._tell(self._dropped - self._told) + b"\n")
                self._told = self._dropped
                self._held_lines += 1
                self._held_bytes += len(lines[-1])
            return len(lines), b"".join(lines)

    def _write_all(self, data: bytes) -> bool:
        """Write all of it, however long that takes; return False when closed meanwhile."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._write(left) :]
                self.failing = False
            except OSError:
                with self._changed:
                    self.failing = True
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._closed, RETRY_SECONDS)
            if self._closed:
                return False
        return True
