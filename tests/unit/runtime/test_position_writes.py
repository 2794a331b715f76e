"""The position is written often enough that no log is purged past it, and never as an answer to itself."""

from __future__ import annotations

import pytest

from cdcd.config.schema import Link
from cdcd.model.position import Position
from cdcd.runtime.position_writes import OWN_BYTES_MAX, WRITES_WHILE_KEPT, PositionWrites, Read

LINK = Link(name="f", source="east", target="west", tables=("t.*",), own_heartbeat_seconds=60)
START = Position.parse("0-1-100")
LATER = Position.parse("0-1-101")
HOUR = 3600.0


@pytest.fixture
def writes():
    """Writes of a link that began at zero, and has written at once."""
    found = PositionWrites(0.0)
    found.begin(START)
    found.written(0.0, Read(START, 0, 0))
    return found


def read(position=LATER, *, size=500, outside=0):
    """Describe how far the link has read."""
    return Read(position, size, outside)


def test_a_transaction_that_is_not_carried_is_a_reason_each_heartbeat(writes):
    """Only an application wrote it, so nothing answers."""
    writes.passed_over = True
    assert writes.is_due(0.0, read(), LINK)


def test_changes_of_other_links_are_a_reason_once_in_their_own_heartbeat(writes):
    """Each answers an application's change on the other side, of which there may be many."""
    assert not writes.is_due(59.0, read(outside=1), LINK)
    assert writes.is_due(60.0, read(outside=1), LINK)
    writes.written(60.0, read(outside=1))
    assert not writes.is_due(10 * HOUR, read(outside=1), LINK)
    assert not writes.is_due(119.0, read(outside=2), LINK)
    assert writes.is_due(120.0, read(outside=2), LINK)


def test_markers_alone_are_no_reason_while_the_log_is_kept_for_ever(writes):
    """The other link of an idle pair would answer with its own."""
    assert not writes.is_due(1e9, read(), LINK)


def test_markers_alone_are_a_reason_a_few_times_while_the_log_is_kept(writes):
    """So that a log that is purged by age never ends after the position."""
    writes.kept_seconds = HOUR
    assert not writes.is_due(HOUR / WRITES_WHILE_KEPT - 1, read(), LINK)
    assert writes.is_due(HOUR / WRITES_WHILE_KEPT, read(), LINK)


def test_a_log_without_news_is_no_reason(writes):
    """What was written last is still where the log ends."""
    writes.kept_seconds = HOUR
    assert not writes.is_due(10 * HOUR, read(START), LINK)


def test_a_great_deal_of_log_is_a_reason(writes):
    """A log may be purged by size, or by hand; two positions that answer each other never come to so much."""
    assert not writes.is_due(0.0, read(size=OWN_BYTES_MAX - 1), LINK)
    assert writes.is_due(0.0, read(size=OWN_BYTES_MAX), LINK)


def test_a_daemon_that_is_often_restarted_writes_its_position_too():
    """One that is restarted each night would never have run for a tenth of the time that the log is kept."""
    writes = PositionWrites(0.0, kept_seconds=HOUR)
    writes.begin(START)
    assert not writes.is_due(1.0, read(START), LINK)
    assert writes.is_due(1.0, read(), LINK)
    writes.written(1.0, read())
    writes.begin(START)
    assert not writes.is_due(2.0, read(Position.parse("0-1-102")), LINK)
