"""One side of a table: checksums and rows, by key range and by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cdcd.errors import CdcdError
from cdcd.model.table import Column, Table
from cdcd.mysql.reader import Reader
from cdcd.sql import quote
from cdcd.verify.expression import RowKey, any_of, beyond, key_value, row_hash, up_to

LOOKUP_KEYS_MAX = 500
_HALVES = [f"CAST(CONV({half}(h, 16), 16, 10) AS UNSIGNED)" for half in ("LEFT", "RIGHT")]
# A derived table with a limit is computed once; without, its expression is put in for every use of h.
_ONCE = " LIMIT 18446744073709551615"


class NotComparable(CdcdError):
    """A table can't be compared; the message says why."""


class Checksum(NamedTuple):
    """What a set of rows comes to: their number, and two numbers made from their hashes."""

    rows: int
    high: int
    low: int


class Side:
    """One side of a table: its rows' hashes over ``columns``, in the order of ``key``.

    ``other`` is the other side's table, which has them too. ``where`` is the link's row filter: what it leaves
    out does not exist here. Every method raises what `Reader.fetch` raises, and NotComparable for a row that the
    server can't hash.
    """

    def __init__(
        self,
        reader: Reader,
        table: Table,
        other: Table,
        columns: Sequence[str],
        key: Sequence[str] = (),
        where: str = "",
    ) -> None:
        self.key = _columns(table, key)
        self._reader = reader
        self._where = where
        self._hash = row_hash(zip(_columns(table, columns), _columns(other, columns), strict=True))
        self._keys = ", ".join(key_value(column) for column in self.key)
        self._order = ", ".join(quote.identifier(column.name) for column in self.key)
        self._from = f"FROM {quote.table(table.name)}{_index_hint(table, key)}"

    async def chunk_end(self, after: RowKey | None, rows: int) -> RowKey | None:
        """Return the key of the row that is ``rows`` after ``after`` (None: the start); None past the end."""
        found = await self._reader.fetch(
            f"SELECT {self._keys} {self._from}{self._range(after, None)}"
            f" ORDER BY {self._order} LIMIT 1 OFFSET {rows - 1}"
        )
        return found[0] if found else None

    async def checksum(self, after: RowKey | None, to: RowKey | None) -> Checksum:
        """Return the checksum of the rows after ``after`` and up to ``to``; None is without end."""
        return await self._aggregate("BIT_XOR", self._range(after, to) + _ONCE)

    async def total(self) -> Checksum:
        """Return the checksum of the whole table, in which equal rows count as often as they occur."""
        return await self._aggregate("SUM", self._range(None, None))

    async def rows(self, after: RowKey | None, to: RowKey | None) -> dict[RowKey, str]:
        """Return the hash of each row of a range, by key."""
        return await self._hashes(self._range(after, to))

    async def lookup(self, keys: Sequence[RowKey]) -> dict[RowKey, str]:
        """Return the hash of each row that has one of ``keys`` as this side compares them, by its own key."""
        found: dict[RowKey, str] = {}
        for start in range(0, len(keys), LOOKUP_KEYS_MAX):
            condition = any_of(self.key, keys[start : start + LOOKUP_KEYS_MAX])
            found.update(await self._hashes(self._filtered(condition)))
        return found

    async def _aggregate(self, function: str, rest: str) -> Checksum:
        halves = ", ".join(f"COALESCE({function}({half}), 0)" for half in _HALVES)
        [(rows, hashed, high, low)] = await self._reader.fetch(
            f"SELECT COUNT(*), COUNT(h), {halves} FROM (SELECT {self._hash} AS h {self._from}{rest}) AS r"
        )
        if rows != hashed:
            raise self._too_large()
        return Checksum(rows, int(high), int(low))

    async def _hashes(self, rest: str) -> dict[RowKey, str]:
        rows = await self._reader.fetch(f"SELECT {self._hash}, {self._keys} {self._from}{rest}")
        if any(digest is None for digest, *_ in rows):
            raise self._too_large()
        found: dict[RowKey, str] = {}
        for digest, *key in rows:
            # A target without the unique key may hold a row twice: then it is another row than the source's.
            found[tuple(key)] = found.get(tuple(key), "") + digest
        return found

    def _too_large(self) -> NotComparable:
        site = self._reader.site.name
        return NotComparable(f"a row on {site} is too large to hash", hint=f"raise max_allowed_packet on {site}")

    def _range(self, after: RowKey | None, to: RowKey | None) -> str:
        conditions = [] if after is None else [beyond(self.key, after)]
        return self._filtered(*conditions, *([] if to is None else [up_to(self.key, to)]))

    def _filtered(self, *conditions: str) -> str:
        # The filter's text may end in a comment, which the line break ends.
        everything = [*conditions, f"{self._where}\n"] if self._where else conditions
        return " WHERE " + " AND ".join(f"({condition})" for condition in everything) if everything else ""


def _columns(table: Table, names: Sequence[str]) -> list[Column]:
    return [column for name in names if (column := table.column(name))]


def _index_hint(table: Table, key: Sequence[str]) -> str:
    """Name the index that sorts by ``key``: on a chunk of a secondary key, optimizers like to read it all."""
    wanted = [name.lower() for name in key]
    for index in table.keys if wanted else ():
        names = [name.lower() for name in index.columns[: len(wanted)]]
        if names == wanted and not any(index.prefixes):
            return f" FORCE INDEX ({quote.identifier(index.name)})"
    return ""
