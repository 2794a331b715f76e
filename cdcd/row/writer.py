"""Rows for whoever has values and no log: a copied chunk, a change table, a correction, another engine's changes.

A :class:`RowWriter` describes a table as a TABLE_MAP event would, and puts rows into a ``Transaction`` in the storage
of such a log, so that net changes, write sets, splitting and rendering treat them as they treat a log's. A column whose
type that storage does not have is a *text cell*: a length, then the value's canonical text.

Layout of the description: MariaDB Knowledge Base, "TABLE_MAP_EVENT".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from cdcd.errors import SchemaMismatch, UnsupportedEvent
from cdcd.model.table import Column, Table
from cdcd.row import cell
from cdcd.row.cell import ColumnType, Description
from cdcd.row.column_type import GEOMETRIES, is_compressed, members, stored_as
from cdcd.row.encoding import CellError, encoder, written
from cdcd.row.transaction import TableMap, Transaction

INSERT, UPDATE, DELETE = 0, 1, 2
Row = Sequence[object]


class RowWriter:
    """Encodes rows of one table.

    ``text_cells`` names the columns that travel as canonical text; every other must be of a type that the storage has.
    ``table_map`` is what a link's plans are kept by. Values are None for NULL, Python objects, or what a server prints:
    text in str, or bytes in the column's own charset; TIMESTAMPs in UTC, a FLOAT as the DOUBLE of the same value.
    Raises UnsupportedEvent for a type that is not known, SchemaMismatch for a value that its column cannot hold.
    """

    def __init__(self, table: Table, *, text_cells: Collection[str] = ()) -> None:
        self.table = table
        self._texts = frozenset(text_cells)
        if unknown := self._texts - {column.name for column in table.columns}:
            raise ValueError(f"{min(unknown)} is no column of {'.'.join(table.name)}")
        charsets = [column.charset or "binary" for column in table.columns]
        columns = tuple(self._stored(column) for column in table.columns)
        self.description = Description(
            table.name,
            columns,
            tuple(column.name for column in table.columns),
            self._primary_key(),
            b"" if self._texts or any(map(is_compressed, table.columns)) else _layout(columns),
        )
        self.table_map = TableMap(_body(self.description), self.description)
        each = zip(table.columns, columns, charsets, strict=True)
        self._encoders = [encoder(column, stored, charset) for column, stored, charset in each]
        self._places = {name: i for i, name in enumerate(self.description.column_names or ())}

    def insert(self, transaction: Transaction, rows: Iterable[Row], columns: Sequence[str] | None = None) -> None:
        """Add new rows of these columns, which are all of them unless given."""
        self._add(transaction, INSERT, [columns], ((row,) for row in rows))

    def delete(self, transaction: Transaction, rows: Iterable[Row], columns: Sequence[str] | None = None) -> None:
        """Add rows that go."""
        self._add(transaction, DELETE, [columns], ((row,) for row in rows))

    def update(
        self,
        transaction: Transaction,
        changes: Iterable[tuple[Row, Row]],
        before: Sequence[str] | None = None,
        after: Sequence[str] | None = None,
    ) -> None:
        """Add changed rows, each as it was and as it is; both sides may leave columns out."""
        self._add(transaction, UPDATE, [before, after], changes)

    def _add(
        self,
        transaction: Transaction,
        kind: int,
        sides: Sequence[Sequence[str] | None],
        changes: Iterable[Sequence[Row]],
    ) -> None:
        places = [self._present(columns) for columns in sides]
        count = len(self._encoders)
        body = bytearray(_packed(count))
        for present in places:
            body += sum(1 << i for i in present).to_bytes((count + 7) // 8, "little")
        empty = len(body)
        for change in changes:
            for present, row in zip(places, change, strict=True):
                self._put_image(body, present, row)
        if len(body) > empty:
            transaction.append(self.table_map, kind, bytes(body))

    def _present(self, columns: Sequence[str] | None) -> list[int]:
        if columns is None:
            return list(range(len(self._encoders)))
        places = [self._places[name] for name in columns]
        if not places or places != sorted(set(places)):
            raise ValueError("columns of an image are named once each, in the order of the table")
        return places

    def _put_image(self, body: bytearray, present: list[int], row: Row) -> None:
        if len(row) != len(present):
            raise ValueError(f"a row of {len(row)} values for {len(present)} columns")
        at, count = len(body), len(present)
        # Servers set the bits that no column has.
        body += ((1 << (count + 7) // 8 * 8) - (1 << count)).to_bytes((count + 7) // 8, "little")
        encoders = self._encoders
        for place, (i, value) in enumerate(zip(present, row, strict=True)):
            if value is None:
                body[at + (place >> 3)] |= 1 << (place & 7)
                continue
            try:
                body += encoders[i](value)
            except (ValueError, ArithmeticError) as error:
                raise self._refusal(i, error) from None

    def _refusal(self, i: int, error: Exception) -> SchemaMismatch:
        """Say which column cannot hold its value, and why, without a word of the value."""
        column, reason = self.table.columns[i], f": {error}" if isinstance(error, CellError) else ""
        return SchemaMismatch(f"a value that column {column.name} ({column.type}) cannot hold{reason}").at(
            table=".".join(self.table.name)
        )

    def _stored(self, column: Column) -> ColumnType:
        if column.name in self._texts:
            return ColumnType(cell.TEXT_CELL, 0, column.nullable)
        found = stored_as(column)
        if found is None:
            raise UnsupportedEvent(f"column {column.name} is of type {column.type}, which row images do not have").at(
                table=".".join(self.table.name)
            )
        kind, metadata = found
        return ColumnType(
            kind,
            metadata,
            column.nullable,
            unsigned="unsigned" in column.type.lower() if kind in cell.NUMERIC else None,
            members=_members(column) if kind in (cell.ENUM, cell.SET) else None,
            geometry=GEOMETRIES.index(column.data_type) if kind == cell.GEOMETRY else None,
        )

    def _primary_key(self) -> tuple[tuple[int, int], ...]:
        names = [column.name.lower() for column in self.table.columns]
        key = next((key for key in self.table.keys if key.is_primary), None)
        if key is None:
            return ()
        return tuple(
            (names.index(name.lower()), prefix) for name, prefix in zip(key.columns, key.prefixes, strict=True)
        )


def _members(column: Column) -> tuple[bytes, ...]:
    return tuple(written(member, column.charset) for member in members(column.type))


def _packed(number: int) -> bytes:
    """Write a length-encoded integer: tables have fewer than 65,536 columns."""
    return bytes([number]) if number < 251 else b"\xfc" + number.to_bytes(2, "little")


def _body(description: Description) -> bytes:
    names = b"".join(_packed(len(part.encode())) + part.encode() + b"\0" for part in description.name)
    return bytes(8) + names + description.layout


def _layout(columns: Sequence[ColumnType]) -> bytes:
    """Return what a TABLE_MAP event says after the names, without optional metadata."""
    types = bytes(cell.STRING if column.type in (cell.ENUM, cell.SET) else column.type for column in columns)
    metadata = b"".join(map(_metadata, columns))
    nulls = sum(1 << i for i, column in enumerate(columns) if column.nullable)
    return (
        _packed(len(columns)) + types + _packed(len(metadata)) + metadata
        + nulls.to_bytes((len(columns) + 7) // 8, "little")
    )  # fmt: skip


def _metadata(column: ColumnType) -> bytes:
    kind, number = column.type, column.metadata
    if kind in (cell.ENUM, cell.SET):
        return bytes([kind, number])
    if kind == cell.STRING:
        return bytes([cell.STRING ^ (number & 0x300) >> 4, number & 0xFF])
    if kind == cell.BIT:
        return bytes([number % 8, number // 8])
    if kind == cell.NEWDECIMAL:
        return number.to_bytes(2, "big")
    if kind == cell.VARCHAR:
        return number.to_bytes(2, "little")
    has_one = kind in (cell.FLOAT, cell.DOUBLE, cell.BLOB, cell.GEOMETRY, cell.TIME2, cell.DATETIME2, cell.TIMESTAMP2)
    return bytes([number]) if has_one else b""
