"""Another decoder, mysql-replication, reads the same values out of the same events."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from tests.fixtures.mariadb import MariaDB
from tests.fixtures.recording import changes, plan, record
from tests.fixtures.values import CASES, Case

# What it cannot read: it takes wide charsets for little-endian, stumbles over compressed columns, and starts
# a stream anew after events past a size. The round trips through a link judge these.
_BEYOND_IT = ("utf16", "utf32", "ucs2", "compressed", "mediumtext", "mediumblob")
# Values that it reads as none, or as another: zero and impossible dates, the year 0, the empty SET, negative
# times with a fraction; and one that makes an event too long for it.
_WRONG_VALUES = ("65535", "'0000-", "-00-", "-00 ", "-00'", "2023-02-31")
_WRONG_WHOLES = {"year": "0", "set": "0"}
_SETTINGS = "SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'"


def _judged(case: Case) -> list[str]:
    whole = _WRONG_WHOLES.get(case.name.split("_")[0])
    values = [value for value in case.values if value != whole]
    values = [value for value in values if not any(part in value for part in _WRONG_VALUES)]
    return [value for value in values if not (value.startswith("'-") and "." in value)]


def _as_ours(theirs: Any, ours: Any) -> Any:
    """Return their value in the form of ours, which names no type but says exactly the same."""
    if isinstance(theirs, datetime.timedelta):
        size = abs(theirs) // datetime.timedelta(microseconds=1)
        seconds, micros = divmod(size, 1_000_000)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"
        return ("-" if theirs < datetime.timedelta() else "") + clock
    if isinstance(theirs, datetime.datetime):
        return theirs.isoformat(" ", "microseconds")
    if isinstance(theirs, datetime.date):
        return theirs.isoformat()
    if isinstance(theirs, set):
        return sorted(theirs)
    if isinstance(theirs, str) and isinstance(ours, int):
        return int(theirs, 2)
    if isinstance(ours, bytes) and isinstance(theirs, str):  # Ours is not sure of such a character.
        return ours
    if isinstance(ours, bytes):
        return (theirs or b"").ljust(len(ours), b"\0")
    return theirs


def _comparable(ours: Any, theirs: Any, case: Case) -> Any:
    """Return our value with all six digits of a second, a SET as its members, a UUID as its bytes."""
    if isinstance(theirs, datetime.timedelta | datetime.datetime):
        return ours + ("" if "." in ours else ".") + "0" * (6 - len(ours.partition(".")[2]))
    if isinstance(theirs, set):
        return sorted(ours.split(","))
    if case.name == "uuid":
        return bytes.fromhex(ours.replace("-", ""))
    return ours


def _theirs(server: MariaDB, start: str) -> list[tuple[str, Any]]:
    """Return (table, value of v) of every row that the other decoder reads after a position."""
    reader = BinLogStreamReader(
        {"host": server.host, "port": server.port, "user": server.user, "passwd": server.password},
        server_id=4_000_001,
        is_mariadb=True,
        auto_position=start,
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
    )
    try:
        return [
            (event.table, (row.get("values") or row["after_values"])["v"]) for event in reader for row in event.rows
        ]
    finally:
        reader.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_other_decoder_reads_the_same_values(east: MariaDB, database: str) -> None:
    """Every value that it can read at all, as inserted and as updated, is the one that cdcd reads."""
    cases = {f"c_{case.name}": case for case in CASES if not any(part in case.name for part in _BEYOND_IT)}
    for name, case in cases.items():
        east.sql(f"CREATE TABLE {name} (id INT PRIMARY KEY, v {case.type})", database=database)
    start = east.binlog_position()[2]
    for name, case in cases.items():
        rows = ",".join(f"({n}, {value})" for n, value in enumerate(_judged(case)))
        update = f"UPDATE {name} SET v = {_judged(case)[-1]} WHERE id = 0"
        east.sql(f"{_SETTINGS}; INSERT INTO {name} VALUES {rows}; {update}", database=database)
    _, transactions = await record(east, start)
    plans = await plan(east, transactions)
    ours = [(table, after[1]) for table, _, _, after in changes(transactions, plans)]
    theirs = _theirs(east, start)
    assert [table for table, _ in theirs] == [table for table, _ in ours]
    for (table, mine), (_, other) in zip(ours, theirs, strict=True):
        value = _comparable(mine, other, cases[table])
        assert (table, repr(_as_ours(other, value))) == (table, repr(value))
    assert any(isinstance(value, Decimal) for _, value in ours)
    assert len(ours) > 500
