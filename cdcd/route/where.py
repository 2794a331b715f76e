"""Row filters: ``where = { "shop.orders" = "`region` = 'eu' AND amount >= 10" }``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cdcd.model.table import Column
from cdcd.route.binding import Binder
from cdcd.route.collation import Collation
from cdcd.route.operand import kind_of
from cdcd.sql.expression import Node, UndecidableFilter, parse

__all__ = ["RowFilter", "UndecidableFilter"]


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A condition on the columns of one row, with SQL's logic: only TRUE passes.

    It has ``= <=> <> != < <= > >=``, AND OR NOT XOR, IN, BETWEEN, LIKE, IS [NOT] NULL, TRUE and FALSE,
    ``+ - * / % MOD``, and literals. What a server would answer is answered; where that can't be known, the
    filter is refused: by :meth:`parse` for its text, by :meth:`bind` for the types of the columns, and by the
    bound function for single values. Literals that are compared with a TIMESTAMP are UTC.
    """

    text: str
    columns: frozenset[str]
    _root: Node

    @classmethod
    def parse(cls, text: str) -> RowFilter:
        """Read a filter; raise ValueError, with a caret under the place, for anything unsupported."""
        root = parse(text)
        return cls(text, frozenset(_columns(root)), root)

    def bind(self, columns: Sequence[Column]) -> Callable[[Sequence[object]], bool]:
        """Return a function of a row's values, in the order of ``columns``, that says whether the row passes.

        Values are int, float, Decimal, str for text, ENUM, SET and times, bytes for binary, None; FLOAT is
        given as the double of the same value. Raises UndecidableFilter, as may the function that it returns.
        """
        truth = Binder(self.text, columns).condition(self._root)

        def passes(row: Sequence[object]) -> bool:
            try:
                return truth(row) is True
            except UndecidableFilter as error:
                raise error.at(filter=self.text) from None

        return passes

    def differs(self, here: Sequence[Column], there: Sequence[Column]) -> str:
        """Return a column of the filter that compares otherwise on another table, "" where there is none."""
        senses = [{column.name.lower(): _sense(column) for column in columns} for columns in (here, there)]
        return next(
            (name for name in sorted(self.columns) if len({sense.get(name.lower()) for sense in senses}) > 1), ""
        )


def _sense(column: Column) -> tuple[object, ...]:
    """Return all by which a column compares."""
    kind = kind_of(column)
    collation = Collation.named(column.collation, column.charset) if kind == "text" else None
    return "exact" if kind in ("integer", "decimal") else kind, collation, column.data_type == "binary"


def _columns(node: Node) -> Iterator[str]:
    if node.op == "column":
        yield node.value
    for arg in node.args:
        yield from _columns(arg)
