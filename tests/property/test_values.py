"""Random values of every kind of column arrive equal, as inserts and as updates."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fixtures.links import running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.search import examples
from tests.fixtures.servers import ServerFactory
from tests.fixtures.sites import a_link

ROWS = 40
SETTINGS = "SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'"


def _hexadecimal(text: str, charset: str, codec: str) -> str:
    return f"_{charset} X'{text.encode(codec).hex()}'"


def _texts(charset: str, codec: str, **limits: Any) -> st.SearchStrategy[str]:
    characters = st.characters(codec=codec, exclude_categories=["Cs"], **limits)
    awkward = st.sampled_from([c for c in "\\'\"\0\n\r\x1a%_` " if c.encode(codec, "ignore")])
    return st.text(characters | awkward, max_size=12).map(lambda text: _hexadecimal(text, charset, codec))


def _bytes(most: int) -> st.SearchStrategy[str]:
    awkward = st.sampled_from([b"\\", b"'", b"\0", b" ", b"\xff", b"\\'"])
    whole = st.binary(max_size=most) | st.lists(awkward, max_size=most // 2).map(b"".join)
    return whole.map(lambda value: f"X'{value.hex()}'")


def _integers(low: int, high: int) -> st.SearchStrategy[str]:
    return (st.integers(low, high) | st.sampled_from([low, high, low + 1, high - 1])).map(str)


def _decimals(whole: int, scale: int) -> st.SearchStrategy[str]:
    def text(number: int) -> str:
        digits = f"{abs(number):0{whole + scale}}"
        return ("-" if number < 0 else "") + digits[:whole] + "." + digits[whole:] + "0" * (not scale)

    limit = 10 ** (whole + scale) - 1
    return st.integers(-limit, limit).map(text)


def _double() -> st.SearchStrategy[str]:
    patterns = st.binary(min_size=8, max_size=8).map(lambda value: struct.unpack("<d", value)[0])
    return patterns.filter(math.isfinite).map(lambda value: f"{value:.17e}")


def _single() -> st.SearchStrategy[str]:
    patterns = st.binary(min_size=4, max_size=4).map(lambda value: struct.unpack("<f", value)[0])
    return patterns.filter(math.isfinite).map(lambda value: f"{value:.17e}")


def _clock(hours: int, digits: int) -> st.SearchStrategy[str]:
    parts = st.tuples(st.integers(0, hours), st.integers(0, 59), st.integers(0, 59), st.integers(0, 10**digits - 1))
    return parts.map(lambda p: f"{p[0]:02}:{p[1]:02}:{p[2]:02}" + (f".{p[3]:0{digits}}" if digits else ""))


def _dates() -> st.SearchStrategy[str]:
    return st.tuples(st.integers(0, 9999), st.integers(0, 12), st.integers(0, 31)).map(
        lambda p: f"{p[0]:04}-{p[1]:02}-{p[2]:02}"
    )


def _datetimes(digits: int) -> st.SearchStrategy[str]:
    return st.tuples(_dates(), _clock(23, digits)).map(lambda p: f"'{p[0]} {p[1]}'")


def _times(digits: int) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(["", "-"]), _clock(838, digits)).map(lambda p: f"'{p[0]}{p[1]}'")


def _instants(digits: int) -> st.SearchStrategy[str]:
    ticks = st.integers(10**digits, (2**31 - 1) * 10**digits)
    return ticks.map(
        lambda n: f"FROM_UNIXTIME({n // 10**digits}" + (f".{n % 10**digits:0{digits}})" if digits else ")")
    )


def _uuids() -> st.SearchStrategy[str]:
    return st.uuids().map(lambda value: f"'{value}'")


COLUMNS: dict[str, st.SearchStrategy[str]] = {
    "tinyint": _integers(-128, 127),
    "smallint unsigned": _integers(0, 65535),
    "mediumint": _integers(-(1 << 23), (1 << 23) - 1),
    "mediumint unsigned": _integers(0, (1 << 24) - 1),
    "int": _integers(-(1 << 31), (1 << 31) - 1),
    "bigint": _integers(-(1 << 63), (1 << 63) - 1),
    "bigint unsigned": _integers(0, (1 << 64) - 1),
    "decimal(65,30)": _decimals(35, 30),
    "decimal(65,0)": _decimals(65, 0),
    "decimal(12,7)": _decimals(5, 7),
    "decimal(37,1)": _decimals(36, 1),
    "double": _double(),
    "float": _single(),
    "bit(64)": _integers(0, (1 << 64) - 1),
    "bit(11)": _integers(0, (1 << 11) - 1),
    "year": _integers(1901, 2155) | st.just("0"),
    "date": _dates().map(lambda text: f"'{text}'"),
    **{f"time({n})": _times(n) for n in range(7)},
    **{f"datetime({n})": _datetimes(n) for n in range(7)},
    **{f"timestamp({n}) null": _instants(n) for n in range(7)},
    "varchar(40) character set utf8mb4": _texts("utf8mb4", "utf-8"),
    "char(40) character set utf8mb4": _texts("utf8mb4", "utf-8"),
    "text character set utf16": _texts("utf16", "utf-16-be"),
    "varchar(40) character set ucs2": _texts("ucs2", "utf-16-be", max_codepoint=0xFFFF),
    "varchar(40) character set gbk": _texts("gbk", "gbk"),
    "varchar(40) character set latin1": _texts("latin1", "cp1252"),
    "varchar(400) compressed character set utf8mb4": _texts("utf8mb4", "utf-8"),
    "binary(9)": _bytes(9),
    "varbinary(300)": _bytes(300),
    "tinyblob": _bytes(40),
    "mediumblob compressed": _bytes(200),
    "enum('a','b','c')": _integers(0, 3),
    "set('a','b','c','d','e','f','g','h','i')": _integers(0, 511),
    "uuid": _uuids(),
    "inet4": st.ip_addresses(v=4).map(lambda value: f"'{value}'"),
    "inet6": st.ip_addresses(v=6).map(lambda value: f"'{value}'"),
    "point": st.tuples(st.integers(-999, 999), st.integers(-999, 999)).map(lambda p: f"POINT({p[0]}, {p[1]})"),
}


@pytest.fixture(scope="module")
def servers(module_server_factory: ServerFactory) -> tuple[MariaDB, MariaDB]:
    """A source and a target in different time zones."""
    zones = ("+05:45", "-03:00")
    east, west = (module_server_factory({"default-time-zone": zone}) for zone in zones)
    return east, west


def _show() -> str:
    """Select every column as the client reads it, its bytes, and floats to the last digit."""
    columns = ", ".join(f"c{n}, HEX(c{n})" for n in range(len(COLUMNS)))
    floats = (f"CAST(c{n} AS DOUBLE), LEFT(c{n}, 1)" for n, kind in enumerate(COLUMNS) if kind in ("float", "double"))
    columns += ", " + ", ".join(floats)
    return f"{SETTINGS}; SELECT id, {columns} FROM t ORDER BY id"


async def _carry(servers: tuple[MariaDB, MariaDB], first: Sequence[str], second: Sequence[str]) -> None:
    east, west = servers
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(COLUMNS))
    for server in servers:
        server.sql(f"DROP DATABASE IF EXISTS d; CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, {columns})")
    async with running(a_link("d", start="now"), east, west) as link:
        for verb, rows in (("INSERT", first), ("REPLACE", second)):
            values = ",".join(f"({n}, {row})" for n, row in enumerate(rows))
            east.sql(f"{SETTINGS}; {verb} INTO t VALUES {values}", database="d")
            await link.caught_up()
            shown = [repr(row) for row in east.sql(_show(), database="d")]
            assert shown == [repr(row) for row in west.sql(_show(), database="d")]
            assert shown


rows_of_values = st.lists(
    st.tuples(
        *((values | values | values | st.none()).map(lambda value: value or "NULL") for values in COLUMNS.values())
    ).map(",".join),
    min_size=8,
    max_size=ROWS,
)


@given(first=rows_of_values, second=rows_of_values)
@settings(
    max_examples=examples(3, storm=60),
    # A failure shows the row that differs, and each smaller example would cost seconds.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
def test_random_values_arrive_equal(servers: tuple[MariaDB, MariaDB], first: list[str], second: list[str]) -> None:
    """Whatever a column holds, the target's is the same, to the byte."""
    asyncio.run(_carry(servers, first, second[: len(first)]))
