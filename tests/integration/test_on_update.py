"""Columns that a server fills at each update hold what the source's row holds, on whichever side they do so."""

from __future__ import annotations

import pytest

from tests.fixtures.links import Both

PLAIN = "ts TIMESTAMP NOT NULL DEFAULT '2000-01-01'"
RENEWED = f"{PLAIN} ON UPDATE CURRENT_TIMESTAMP"
KEYS = {
    "key": "PRIMARY KEY (id, ts)",
    "key beside another": "PRIMARY KEY (id, ts), UNIQUE (u)",
    "first of a key": "PRIMARY KEY (ts, id), UNIQUE (u)",
    "no key": "PRIMARY KEY (id)",
    "keyless": "KEY (id)",
}
ROWS = "INSERT INTO t VALUES (1, '2024-01-01', 1, 1), (2, '2024-01-01', 2, 2), (3, '2024-01-01', 3, 3)"


def table(column: str, keys: str) -> str:
    """Return the statement for a table with a column of times."""
    return f"CREATE TABLE t (id INT, {column}, v INT, u INT, {keys})"


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("source", [PLAIN, RENEWED], ids=["on the target", "on both"])
async def test_a_time_that_the_source_kept_is_kept(both: Both, source: str, keys: str, image: str) -> None:
    """A column that no statement assigns is filled by the server, and one of a key makes another row of it."""
    both.only_source(f"{table(source, KEYS[keys])}; {ROWS}")
    both.only_target(f"{table(RENEWED, KEYS[keys])}; {ROWS}")
    kept = "" if source == PLAIN else ", ts = ts"
    outcome = await both.carry(
        f"SET binlog_row_image = {image}; UPDATE t SET v = 7{kept} WHERE id = 1; UPDATE t SET v = v + 1{kept};"
        "UPDATE t SET v = 9, ts = '2024-02-02' WHERE id = 3"
    )
    assert 0 == outcome.conflicts
    both.assert_equal("t")


@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
async def test_a_row_in_the_way_gets_the_source_s_time(both: Both, image: str) -> None:
    """One that is met is updated too."""
    both.only_source(table(PLAIN, KEYS["key beside another"]))
    both.only_target(f"{table(RENEWED, KEYS['key beside another'])}; {ROWS}")
    outcome = await both.carry(f"SET binlog_row_image = {image}; {ROWS}; UPDATE t SET v = 7 WHERE id = 1")
    assert 3 == outcome.conflicts
    both.assert_equal("t")
