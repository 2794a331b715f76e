"""What differs only because it is still on its way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cdcd.mysql.reader import Reader
from cdcd.verify import Limits
from tests.fixtures.pair import Pair, found

DEADLINE_SECONDS = 60


class Announcing(Reader):
    """A reader that says when it has read the rows of a chunk that differs."""

    looked = asyncio.Event()

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Run the query, then say so."""
        rows = await super().fetch(query)
        if query.startswith("SELECT MD5"):
            self.looked.set()
        return rows


async def test_a_difference_in_flight_goes_away(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives on the target after the first look is no difference."""
    monkeypatch.setattr(Announcing, "looked", asyncio.Event())
    pair.both("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    pair.only_source("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    pair.only_target("INSERT INTO t VALUES (1, 1), (3, 0), (4, 4)")

    async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
        verified = group.create_task(pair.verify(Limits(settle_seconds=DEADLINE_SECONDS), target=Announcing))
        await Announcing.looked.wait()
        arriving = "INSERT INTO t VALUES (2, 2); UPDATE t SET v = 3 WHERE id = 3; DELETE FROM t WHERE id = 4"
        await asyncio.to_thread(pair.only_target, arriving)

    [report] = verified.result().tables
    assert report.equal, str(verified.result())
    assert 3 == report.in_flight


async def test_a_difference_stays_while_another_goes_away(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rounds end with the time to settle, and what differs then is reported."""
    monkeypatch.setattr(Announcing, "looked", asyncio.Event())
    pair.both("CREATE TABLE t (id INT PRIMARY KEY)")
    pair.only_source("INSERT INTO t VALUES (1), (2)")

    async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
        verified = group.create_task(pair.verify(Limits(settle_seconds=3), target=Announcing))
        await Announcing.looked.wait()
        await asyncio.to_thread(pair.only_target, "INSERT INTO t VALUES (2)")

    [report] = verified.result().tables
    assert [("missing", {"id": 1})] == found(report)
    assert 1 == report.in_flight
