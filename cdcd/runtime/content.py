"""What one transaction of a source holds, in words and values, for whoever decides whether to leave it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from cdcd.binlog.passage import Passage, Rows
from cdcd.errors import CdcdError, SchemaMismatch
from cdcd.model.query import Query
from cdcd.model.table import Table
from cdcd.mysql.schema import read_table
from cdcd.mysql.session import Session
from cdcd.row.cell import Description
from cdcd.row.charset import Collations
from cdcd.row.layout import Layout
from cdcd.row.reading import layout
from cdcd.source.schema import read_collations

TEXT_BYTES_MAX = 1024 * 1024
VALUE_CHARACTERS_MAX = 200
_VERBS = ("insert into", "update", "delete from")


@dataclass(slots=True)
class Content:
    """Writes transactions as text; asks the source what their tables' columns are called now."""

    source: Session
    _collations: Collations = field(default_factory=dict)
    _layouts: dict[Description, Layout | str] = field(default_factory=dict)

    async def text(self, passage: Passage) -> str:
        """Return a line for each statement, event and row, as far as they can be read; what is left out is said."""
        self._collations = self._collations or await read_collations(self.source)
        lines: list[str] = []
        size = 0
        for event in passage.events:
            for line in await self._lines(event):
                if size > TEXT_BYTES_MAX:
                    return "\n".join([*lines, "… and more, which is too long to keep"])
                lines.append(line)
                size += len(line.encode())
        lines += [
            f"{_VERBS[kind]} {'.'.join(name)}: {bytes_} bytes more of rows, too many to show"
            for (name, kind), bytes_ in passage.left_out.items()
        ]
        return "\n".join(lines) or "nothing"

    async def _lines(self, event: Query | Rows | str) -> list[str]:
        if isinstance(event, str):
            return [event]
        if isinstance(event, Query):
            statement = event.statement.encode("utf-8", "backslashreplace").decode()
            return [f"statement in database {event.database or 'none'}: {statement}"]
        if event.table not in self._layouts:
            self._layouts[event.table] = await self._layout(event.table)
        images = self._layouts[event.table]
        if isinstance(images, Layout):
            try:
                rows = list(_rows(images, event))
            except (CdcdError, ValueError) as error:
                images = str(error)
        what = f"{_VERBS[event.kind]} {'.'.join(event.table.name)}"
        if isinstance(images, str):
            return [f"{what}: {len(event.body)} bytes of rows that cannot be read: {images}"]
        return [f"{what}: {len(rows)} rows", *rows]

    async def _layout(self, description: Description) -> Layout | str:
        """Return how to read a table's rows, or why they cannot be read."""
        try:
            live = await read_table(self.source, description.name)
            if live is None:
                return "the table is gone"
            return layout(_named(description, live), live, self._collations)
        except CdcdError as error:
            return error.message


def _named(description: Description, live: Table) -> Description:
    """Return it with column names: its own, else the table's as it is now."""
    if description.column_names is not None:
        return description
    names = tuple(column.name for column in live.columns)
    if len(names) != len(description.columns):
        raise SchemaMismatch(f"the table has {len(names)} columns now, and had {len(description.columns)}")
    return replace(description, column_names=names)


def _rows(images: Layout, event: Rows) -> Iterator[str]:
    for before, after in images.changes(event.kind, event.body):
        shown = [_image(images.names, image) for image in (before, after) if image is not None]
        yield "  " + " -> ".join(shown)


def _image(names: Sequence[str], values: Sequence[object]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in zip(names, values, strict=True))


def _value(value: object) -> str:
    if value is None:
        return "NULL"
    text = f"x'{value.hex()}'" if isinstance(value, bytes) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}… ({len(text)} characters)"
