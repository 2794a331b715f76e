"""Values without a log become the rows that a log would have held."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from cdcd.apply.sql.statement import render
from cdcd.batch.admission import Admission
from cdcd.batch.net import Batch
from cdcd.binlog import table_map
from cdcd.errors import SchemaMismatch, UnsupportedEvent
from cdcd.model.change import OPERATIONS
from cdcd.model.position import Gtid
from cdcd.model.table import Column, Key, Table
from cdcd.route.plan import build
from cdcd.row.layout import Layout
from cdcd.row.plan import Plans
from cdcd.row.reading import layout
from cdcd.row.transaction import Transaction
from cdcd.row.writer import RowWriter
from tests.fixtures.binlog_bytes import COLLATIONS, Log, LoggedTable

INSERT, UPDATE, DELETE = 0, 1, 2


def a_column(name: str, declared: str, charset: str = "", *, nullable: bool = True) -> Column:
    """Return a column; text is in a binary collation of its charset."""
    kind = declared.partition("(")[0].partition(" ")[0]
    return Column(name, declared, kind, charset, f"{charset}_bin" if charset else "", nullable, False, False)


def a_table(*columns: Column) -> Table:
    """Return a table whose first column is its primary key."""
    return Table(("shop", "t"), columns, (Key("PRIMARY", (columns[0].name,), (0,)),), (), False, (), False)


def a_transaction(number: int = 1) -> Transaction:
    """Return an empty one."""
    return Transaction(Gtid(0, 1, number), 0)


def read(writer: RowWriter, transaction: Transaction) -> list[tuple[Any, Any]]:
    """Return a transaction's changes as the layout of the writer's description reads them."""
    images: Layout = layout(writer.description, writer.table, COLLATIONS)
    return [change for _, kind, body in transaction.events for change in images.changes(kind, body)]


def cells(declared: str, *values: object, charset: str = "") -> list[Any]:
    """Write values into a column and read them back."""
    writer, transaction = RowWriter(a_table(a_column("v", declared, charset))), a_transaction()
    writer.insert(transaction, [(value,) for value in values])
    return [after[0] for _, after in read(writer, transaction)]


@pytest.mark.parametrize(
    ("declared", "charset", "given", "expected"),
    [
        ("tinyint(4)", "", [b"-128", 127, "0"], [-128, 127, 0]),
        ("bigint(20) unsigned", "", [b"18446744073709551615"], [2**64 - 1]),
        ("decimal(20,5)", "", [b"-1.5", Decimal("12345.00001"), 7, "-0"],
         [Decimal("-1.5"), Decimal("12345.00001"), Decimal(7), Decimal(0)]),
        ("double", "", [b"0.1", 5e-324, 3], [0.1, 5e-324, 3.0]),
        ("float", "", [b"0.10000000149011612", -0.5], [0.10000000149011612, -0.5]),
        ("bit(9)", "", [b"\x01\xff", 5], [511, 5]),
        ("year(4)", "", [b"2024", 0, 1901], [2024, 0, 1901]),
        ("date", "", [b"2024-02-00", datetime.date(2024, 2, 29)], ["2024-02-00", "2024-02-29"]),
        ("time(3)", "", [b"-838:59:59.5", datetime.timedelta(seconds=-1.5), datetime.time(1, 2, 3)],
         ["-838:59:59.500", "-00:00:01.500", "01:02:03.000"]),
        ("datetime(6)", "", [b"9999-12-31 23:59:59.999999", datetime.datetime(2024, 1, 2, 3, 4, 5)],
         ["9999-12-31 23:59:59.999999", "2024-01-02 03:04:05.000000"]),
        ("timestamp", "", [b"2038-01-19 03:14:07", b"0000-00-00 00:00:00"],
         ["2038-01-19 03:14:07", "0000-00-00 00:00:00"]),
        ("enum('a','b')", "utf8mb4", ["b", b"a", 0, ""], ["b", "a", "", ""]),
        ("set('a','b','c')", "utf8mb4", ["a,c", 7, ""], ["a,c", "a,b,c", ""]),
        ("varchar(5)", "utf8mb4", ["😀 ", "é".encode()], ["😀 ", "é"]),
        ("char(5)", "latin1", ["é  ", b"\x80"], ["é", "€"]),
        ("text", "utf16", ["é"], ["é"]),
        ("binary(3)", "", [b"a\0\0"], [b"a\0\0"]),
        ("varbinary(3)", "", [b"a\0"], [b"a\0"]),
        ("longblob", "", [b"\0\xff"], [b"\0\xff"]),
        ("uuid", "", [b"00112233-4455-6677-8899-aabbccdd0000", UUID(int=0)],
         ["00112233-4455-6677-8899-aabbccdd0000", str(UUID(int=0))]),
        ("inet4", "", ["1.2.3.0"], [b"\1\2\3\0"]),
    ],
)  # fmt: skip
def test_values_come_back_as_they_were(
    declared: str, charset: str, given: list[object], expected: list[object]
) -> None:
    """Python's objects and what a server prints, for every storage."""
    assert expected == cells(declared, *given, charset=charset)


def test_an_instant_with_a_zone_is_stored_in_utc() -> None:
    """What has no zone is in UTC already."""
    zone = datetime.timezone(datetime.timedelta(hours=2))
    moment = datetime.datetime(2024, 1, 1, 1, 30, tzinfo=zone)
    assert ["2023-12-31 23:30:00"] == cells("timestamp", moment)


@pytest.mark.parametrize(
    ("declared", "charset", "value"),
    [
        ("tinyint(4)", "", 128), ("int(10) unsigned", "", -1), ("int(11)", "", 1.5), ("int(11)", "", b"1.5"),
        ("int(11)", "", Decimal("1.5")), ("decimal(4,2)", "", "1.005"), ("decimal(4,2)", "", 100),
        ("decimal(4,2)", "", Decimal("NaN")), ("decimal(4,2)", "", "secret"),
        ("int(11)", "", "secret"), ("double", "", Decimal("0.1")), ("double", "", float("inf")),
        ("float", "", 0.1), ("float", "", b"0.1"), ("double", "", 2**53 + 1), ("bit(9)", "", 512),
        ("year(4)", "", 1900),
        ("date", "", "2024-1-1"), ("date", "", datetime.datetime(2024, 1, 1)),
        ("time", "", "00:00:00.5"), ("datetime(2)", "", "2024-01-01 00:00:00.123"),
        ("timestamp", "", "1970-01-01 00:00:00"),
        ("timestamp", "", "2024-02-30 00:00:00"), ("enum('a','b')", "utf8mb4", "c"), ("enum('a','b')", "utf8mb4", 3),
        ("enum('','b')", "utf8mb4", ""), ("set('a','b')", "utf8mb4", "a,c"), ("varchar(1)", "latin1", "ab"),
        ("varchar(9)", "latin1", "日"), ("varchar(9)", "swe7", "a"), ("varbinary(9)", "", "text"), ("uuid", "", "1"),
        ("text", "utf8mb4", 5), ("text", "utf8mb4", "\ud800"), ("inet4", "", "1.2.3.256"),
    ],
)  # fmt: skip
def test_what_a_column_cannot_hold_exactly_is_refused(declared: str, charset: str, value: object) -> None:
    """Nothing is rounded, cut or guessed."""
    with pytest.raises(SchemaMismatch, match=r"column v .* cannot hold.*table shop\.t") as raised:
        cells(declared, value, charset=charset)
    assert "secret" not in str(raised.value)


def test_rows_of_many_columns_with_nulls() -> None:
    """The bitmap of NULLs grows with the columns, and so does their number."""
    columns = [a_column("id", "int(11)", nullable=False), *(a_column(f"c{n}", "int(11)") for n in range(299))]
    writer, transaction = RowWriter(a_table(*columns)), a_transaction()
    row = [n if n % 3 else None for n in range(1, 300)]
    writer.insert(transaction, [[7, *row], [8, *([None] * 299)]])
    assert [(None, (7, *row)), (None, (8, *([None] * 299)))] == read(writer, transaction)


def test_both_images_and_columns_that_are_left_out() -> None:
    """An update finds its row by some columns and sets others; what is absent reads as None."""
    columns = [a_column("id", "int(11)"), a_column("a", "int(11)"), a_column("b", "varchar(9)", "utf8mb4")]
    writer, transaction = RowWriter(a_table(*columns)), a_transaction()
    writer.update(transaction, [((1, 2, "x"), (1, None, "y"))])
    writer.update(transaction, [((1,), (3, "z"))], before=["id"], after=["a", "b"])
    writer.delete(transaction, [(1,)], columns=["id"])
    writer.insert(transaction, [(4, "new")], columns=["id", "b"])
    assert [
        ((1, 2, "x"), (1, None, "y")),
        ((1, None, None), (None, 3, "z")),
        ((1, None, None), None),
        (None, (4, None, "new")),
    ] == read(writer, transaction)
    assert [UPDATE, UPDATE, DELETE, INSERT] == [kind for _, kind, _ in transaction.events]
    assert transaction.leaves_out


@pytest.mark.parametrize("columns", [[], ["a", "id"], ["id", "id"]])
def test_the_columns_of_an_image_are_in_order(columns: list[str]) -> None:
    """Values would otherwise come under other names."""
    writer = RowWriter(a_table(a_column("id", "int(11)"), a_column("a", "int(11)")))
    with pytest.raises(ValueError, match="order of the table"):
        writer.insert(a_transaction(), [(1, 2)[: len(columns)]], columns=columns)


def test_a_row_has_a_value_for_each_column() -> None:
    """One that is too short would be read past its end."""
    writer = RowWriter(a_table(a_column("id", "int(11)"), a_column("a", "int(11)")))
    with pytest.raises(ValueError, match="1 values for 2 columns"):
        writer.insert(a_transaction(), [(1,)])


def test_an_unknown_type_is_refused_unless_it_travels_as_text() -> None:
    """What a type means is never guessed."""
    table = a_table(a_column("id", "int(11)"), a_column("span", "interval"))
    with pytest.raises(UnsupportedEvent, match="span is of type interval"):
        RowWriter(table)
    writer, transaction = RowWriter(table, text_cells=["span"]), a_transaction()
    writer.insert(transaction, [(1, "1 mon"), (2, None), (3, "é".encode())])
    assert [(None, (1, "1 mon")), (None, (2, None)), (None, (3, "é"))] == read(writer, transaction)
    with pytest.raises(ValueError, match="no column"):
        RowWriter(table, text_cells=["gone"])


def test_the_description_is_what_an_event_of_it_says() -> None:
    """A target that takes row events is told the same of each cell, whoever wrote it."""
    declared = [
        a_column("id", "int(11)", nullable=False), a_column("u", "bigint(20) unsigned"), a_column("b", "bit(19)"),
        a_column("d", "decimal(65,30)"), a_column("f", "float"), a_column("g", "double"), a_column("y", "year(4)"),
        a_column("da", "date"), a_column("ti", "time(3)"), a_column("dt", "datetime"), a_column("ts", "timestamp(6)"),
        a_column("c", "char(255)", "utf8mb4"), a_column("v", "varchar(255)", "utf8mb4"),
        a_column("t", "tinytext", "latin1"),
        a_column("l", "longblob"), a_column("e", "enum('a')", "latin1"), a_column("s", "set('a','b')", "latin1"),
        a_column("i", "inet6"), a_column("p", "point"),
    ]  # fmt: skip
    writer = RowWriter(a_table(*declared))
    names = b"\x04shop\0\x01t\0"
    parsed = table_map.parse(bytes(8) + names + writer.description.layout)
    assert [(column.type, column.metadata, column.nullable) for column in parsed.columns] == [
        (column.type, column.metadata, column.nullable) for column in writer.description.columns
    ]


def statements(source: Table, target: Table, rows: Sequence[Sequence[object]], texts: Sequence[str]) -> list[str]:
    """Return the SQL of new rows that come from a writer."""
    writer, transaction, plans = RowWriter(source, text_cells=texts), a_transaction(), Plans()
    writer.insert(transaction, rows)
    transaction.finish()
    plan = build(writer.description, source, target, COLLATIONS, operations=OPERATIONS, row_filter=None)
    plans.keep(writer.table_map, plan)
    batch = Batch(plans)
    assert (1, Admission.JOINS) == batch.extend(
        [transaction], 0, origin=None, applied=frozenset(), transactions_max=9, bytes_max=1 << 20
    )
    return [s.sql.decode() for step in batch.partitions(1)[0].steps for s in render(step)]


def test_text_cells_are_written_as_quoted_text() -> None:
    """The target's column decides what the text is stored as."""
    source = a_table(a_column("id", "int(11)"), a_column("n", "numeric(100,0)"))
    target = a_table(a_column("id", "int(11)"), a_column("n", "varchar(200)", "utf8mb4"))
    [sql] = statements(source, target, [(1, "9" * 100), (2, "it's")], ["n"])
    assert f"VALUES (1,_utf8mb4'{'9' * 100}'),(2,_utf8mb4'it\\'s')" in sql


def test_text_that_a_target_would_round_is_refused() -> None:
    """A number of a hundred digits has no place in a DECIMAL."""
    source = a_table(a_column("id", "int(11)"), a_column("n", "numeric(100,0)"))
    target = a_table(a_column("id", "int(11)"), a_column("n", "decimal(65,0)"))
    with pytest.raises(SchemaMismatch, match="n is numeric"):
        statements(source, target, [(1, "9")], ["n"])


def test_a_batch_does_not_mix_two_forms_of_one_tables_rows() -> None:
    """Equal keys would not meet, and their changes would be applied in any order."""
    table, log = LoggedTable({"id": "int", "v": "varchar"}), Log()
    log.commit(table.insert((1, "a")))
    [logged] = log.read(table)
    writer, transaction = RowWriter(table.table, text_cells=["v"]), a_transaction(2)
    writer.insert(transaction, [(1, "b")])
    transaction.finish()
    plan = build(writer.description, table.table, table.table, COLLATIONS, operations=OPERATIONS, row_filter=None)
    log.plans.keep(writer.table_map, plan)
    batch = Batch(log.plans)
    batch.add(logged)
    with pytest.raises(RuntimeError, match=r"shop\.t in two forms"):
        batch.add(transaction)


def test_a_complete_transaction_takes_no_more_rows() -> None:
    """It may be in a batch already."""
    writer, transaction = RowWriter(a_table(a_column("id", "int(11)"))), a_transaction()
    transaction.finish()
    assert transaction.complete
    with pytest.raises(RuntimeError, match="takes no more"):
        writer.insert(transaction, [(1,)])
