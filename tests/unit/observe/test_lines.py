"""Lines reach whoever reads the log, or are counted; nothing that a reader does holds up the daemon."""

from __future__ import annotations

import fcntl
import os
import time

import pytest

from cdcd.observe import lines
from cdcd.observe.lines import LineWriter

DEADLINE_SECONDS = 20


def told(count):
    """Say how many lines were dropped, as the log does."""
    return b"dropped %d" % count


def until(condition):
    """Wait for what the writer's thread does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.005)


@pytest.fixture
def pipe():
    """Return a pipe's ends, closed after the test."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


def fill(write_end):
    """Fill a pipe that nobody reads, and return how much is in it."""
    os.set_blocking(write_end, False)
    filled = 0
    try:
        while True:
            filled += os.write(write_end, b"\n" * 4096)
    except BlockingIOError:
        os.set_blocking(write_end, True)
        return filled


def read_all(read_end):
    """Return what is in a pipe now, and what comes until it is silent for a moment."""
    os.set_blocking(read_end, False)
    found, quiet_since = b"", time.monotonic()
    while time.monotonic() < quiet_since + 0.3:
        try:
            found += os.read(read_end, 1 << 20)
            quiet_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.005)
    return found.split()


def test_lines_come_in_order(tmp_path):
    """A log that is read from top to bottom tells what happened when."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LineWriter(lines.to_descriptor(file.fileno()), told)
        for n in range(1000):
            writer.write(b"%d" % n)
        writer.close(DEADLINE_SECONDS)
    assert [b"%d" % n for n in range(1000)] == path.read_bytes().split()
    assert 0 == writer.dropped


def test_a_reader_that_stands_still_costs_lines_and_no_time(pipe):
    """The loop that logs goes on; once the reader does too, it is told how many lines it has missed."""
    read_end, write_end = pipe
    fill(write_end)
    writer = LineWriter(lines.to_descriptor(write_end), told)
    line = b"x" * 1000
    count = 3 * lines.HELD_BYTES_MAX // len(line)
    for _ in range(count):
        writer.write(line)  # A write that waits for the reader would wait for ever.
    assert writer.dropped > count // 2
    found = read_all(read_end)
    dropped = writer.dropped
    assert [line] * (count - dropped) == [each for each in found if each == line]
    assert b"%d" % dropped == found[-1]
    writer.write(b"after")
    assert [b"after"] == read_all(read_end)
    assert dropped == writer.dropped
    writer.close(DEADLINE_SECONDS)


def test_the_end_is_not_held_up_by_a_reader_that_stands_still(pipe):
    """A stop has half a minute for everything; the log may take a moment of it."""
    _, write_end = pipe
    fill(write_end)
    writer = LineWriter(lines.to_descriptor(write_end), told)
    writer.write(b"last words")
    writer.close(0.05)
    assert 1 == writer.dropped


def test_a_reader_that_is_gone_is_no_error():
    """journald may be restarted, a pager closed."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    writer = LineWriter(lines.to_descriptor(write_end), told)
    writer.write(b"to nobody")
    until(lambda: writer.failing)
    writer.close(DEADLINE_SECONDS)
    os.close(write_end)
    assert 1 == writer.dropped


def test_lines_wait_for_room_on_a_full_disk(monkeypatch):
    """A line is written whole, where the disk took half of it too, and those that no longer fit are counted."""
    monkeypatch.setattr(lines, "RETRY_SECONDS", 0.01)
    disk, room = bytearray(), [3]

    def write(data):
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken = bytes(data[: room[0]])
        disk.extend(taken)
        room[0] -= len(taken)
        return len(taken)

    writer = LineWriter(write, told)
    writer.write(b"first")
    until(lambda: writer.failing)
    for _ in range(2 * lines.HELD_BYTES_MAX // 1000):
        writer.write(b"y" * 999)
    assert writer.dropped
    room[0] = 1 << 30
    until(lambda: bytes(disk).endswith(b"\ndropped %d\n" % writer.dropped))
    assert disk.startswith(b"first\ny")
    assert not writer.failing
    writer.close(DEADLINE_SECONDS)


def test_a_descriptor_that_others_made_non_blocking_is_waited_for(pipe):
    """stdout may be shared with a program that sets O_NONBLOCK; full then is not an error, nor a reason to spin."""
    read_end, write_end = pipe
    fill(write_end)
    os.set_blocking(write_end, False)
    writer = LineWriter(lines.to_descriptor(write_end), told)
    writer.write(b"patience")
    assert [b"patience"] == read_all(read_end)
    writer.close(DEADLINE_SECONDS)
    assert 0 == writer.dropped


def test_flags_of_a_shared_descriptor_are_left_alone(pipe):
    """O_NONBLOCK belongs to the open file, which the shell or another program may hold too."""
    _, write_end = pipe
    before = fcntl.fcntl(write_end, fcntl.F_GETFL)
    writer = LineWriter(lines.to_descriptor(write_end), told)
    writer.write(b"line")
    writer.close(DEADLINE_SECONDS)
    assert before == fcntl.fcntl(write_end, fcntl.F_GETFL)
