"""A row filter on a column of any charset keeps the rows that the server's WHERE keeps, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from pymysql.err import OperationalError

from cdcd.model.table import Column
from cdcd.route.where import RowFilter, UndecidableFilter
from cdcd.row.charset import CHARSETS, decode
from tests.fixtures.mariadb import MariaDB

OFFERED = sorted(set(CHARSETS) - {"utf8", "gb18030", "binary"})
READ = [name for name in OFFERED if CHARSETS[name].codec]
# Letters of many scripts, and what some charsets read otherwise than others do.
LITERALS = ["a", "A ", "~", "\u00e9", "\u20ac", "\u0416", "\u00a4", "\u207f", "\u2022", "\u0153", "\u05d0", "\u0e01",
            "\u8868", "\u5341", "\ud55c", "\u30a2", "\u0081", "\u03a9"]  # fmt: skip
SEPARATOR = "', '"
FILTERS = [
    *(f"{column} = '{value}'" for column in ("ci", "bin") for value in LITERALS),
    *(f"{column} <> '{value}'" for column in ("ci", "bin") for value in LITERALS[:4]),
    *(f"{column} IN ('{SEPARATOR.join(LITERALS[3:])}')" for column in ("ci", "bin")),
    *(f"bin < '{value}'" for value in ("a", "\u00e9", "\u8868")),
    *(f"bin LIKE '{value}'" for value in ("_", "__", "%\u00e9", "a%", "%")),
    *("ci LIKE 'A%'", "ci IS NULL", "ci <=> 'a'", "bin BETWEEN 'A' AND 'z'", "ci = ci"),
]
ILLEGAL_MIX_OF_COLLATIONS = (1267, 1270, 1271)
UNREAD = ["c = 'a'", "c LIKE 'a%'", "c IN ('a', 'b')", "c < 'b'", "c = c", "c BETWEEN 'a' AND 'b'"]


def a_column(name: str, charset: str, collation: str) -> Column:
    """Make a column as information_schema describes it."""
    return Column(name, "varchar(20)", "varchar", charset, collation, nullable=True, generated=False, invisible=False)


def a_value(stored: bytes | None, charset: str) -> object:
    """Return what the log's bytes are to a filter, as a plan gives them."""
    try:
        return None if stored is None else decode(stored, charset)
    except ValueError:
        return stored


def a_table(server: MariaDB, database: str, charset: str) -> tuple[list[Column], list[tuple[object, ...]]]:
    """Make a table of every byte, every literal, and pairs of bytes of that charset; return its columns and rows."""
    [(collation,)] = server.sql(
        f"SELECT default_collate_name FROM information_schema.character_sets WHERE character_set_name = '{charset}'"
    )
    literals = ", ".join(f"(CONVERT(_utf8mb4 X'{value.encode().hex()}' USING {charset}))" for value in LITERALS)
    server.sql(
        "SET sql_mode = '';"
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY,"
        f" ci VARCHAR(20) CHARACTER SET {charset} COLLATE {collation},"
        f" bin VARCHAR(20) CHARACTER SET {charset} COLLATE {charset}_bin);"
        "INSERT INTO t (ci) VALUES (NULL), (''), ('a '), ('ab');"
        f"INSERT INTO t (ci) VALUES {literals};"
        f"INSERT INTO t (ci) SELECT CONVERT(UNHEX(LPAD(HEX(seq), 2, '0')) USING {charset}) FROM mysql.seq_0_to_255;"
        f"INSERT INTO t (ci) SELECT CONVERT(UNHEX(HEX(seq)) USING {charset}) FROM mysql.seq_32768_to_65535_step_797;"
        "UPDATE t SET bin = ci",
        database=database,
    )
    columns = [a_column("ci", charset, collation), a_column("bin", charset, f"{charset}_bin")]
    rows = server.sql("SELECT CAST(ci AS BINARY), CAST(bin AS BINARY) FROM t ORDER BY id", database=database)
    return columns, [tuple(a_value(value, charset) for value in row) for row in rows]


def decide(columns: list[Column], rows: list[tuple[object, ...]], text: str) -> list[bool | None]:
    """Return which rows pass; None where the filter says that it can't know, for one row or for all."""
    try:
        passes = RowFilter.parse(text).bind(columns)
    except UndecidableFilter:
        return [None] * len(rows)

    def answer(row: tuple[object, ...]) -> bool | None:
        try:
            return passes(row)
        except UndecidableFilter:
            return None

    return [answer(row) for row in rows]


def ask(server: MariaDB, database: str) -> Iterator[list[bool]]:
    """Yield for each filter which rows the server passes; none where it will not compare with what a charset lacks."""
    with closing(server.connect(database=database)) as connection, connection.cursor() as cursor:
        for text in FILTERS:
            try:
                cursor.execute(f"SELECT ({text}) IS TRUE FROM t ORDER BY id")
            except OperationalError as error:
                if error.args[0] not in ILLEGAL_MIX_OF_COLLATIONS:
                    raise
            yield [bool(passes) for (passes,) in cursor.fetchall()]


@pytest.mark.parametrize("charset", READ)
def test_a_filter_keeps_what_the_server_keeps(east: MariaDB, database: str, charset: str) -> None:
    """A text that is read otherwise than the server reads it would bring rows to the wrong side."""
    columns, rows = a_table(east, database, charset)
    wrong: dict[str, object] = {}
    decided = 0
    for text, answer in zip(FILTERS, ask(east, database), strict=True):
        ours = decide(columns, rows, text)
        decided += len(ours) - ours.count(None)
        differing = [
            row for row, mine, theirs in zip(rows, ours, answer or ours, strict=True) if mine not in (None, theirs)
        ]
        wrong |= {text: differing[:3]} if differing else {}

    assert {} == wrong
    assert decided > len(FILTERS) * len(rows) * 0.1


@pytest.mark.parametrize("charset", [*sorted(set(OFFERED) - set(READ)), "klingon"])
def test_a_filter_on_a_charset_that_is_not_read_is_refused_by_its_name(charset: str) -> None:
    """It is refused before any row comes, and whoever reads the message must know what to change."""
    column = a_column("c", charset, f"{charset}_bin")
    for text in UNREAD:
        with pytest.raises(UndecidableFilter, match=f"charset {charset}"):
            RowFilter.parse(text).bind([column])
