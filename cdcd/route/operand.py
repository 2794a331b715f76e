"""The leaves of a row filter: what a column or a literal is to a comparison."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from cdcd.model.table import Column
from cdcd.route.numbers import SCALE_MAX
from cdcd.row.charset import named
from cdcd.sql.expression import Node, UndecidableFilter

Row = Sequence[object]
Evaluate = Callable[[Row], Any]
Kind = Literal["integer", "decimal", "float", "text", "bytes", "temporal", "null", "string", "hex", "opaque"]
"""``string`` and ``hex`` are literals that take the kind of what they are compared with."""

NUMERIC = frozenset({"integer", "decimal", "float"})

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "bit", "year"), "integer"),
    **dict.fromkeys(("float", "double"), "float"),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"), "text"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "bytes"),
    **dict.fromkeys(("date", "datetime", "timestamp"), "temporal"),
    "decimal": "decimal",
}
_DIGITS_MAX = 65  # of a DECIMAL
_STRING_DIGITS_MAX = 15  # What a double holds exactly.
MIDNIGHT = " 00:00:00.000000"
_ZERO_DATE = "0000-00-00" + MIDNIGHT
_YEARS = range(1901, 2156)  # Servers read other numbers as short years.


@dataclass(frozen=True, slots=True)
class Operand:
    """A part of a filter: how to get its value from a row, and what that value is to the server."""

    kind: Kind
    evaluate: Evaluate
    node: Node
    column: Column | None = None
    scale: int = 0  # how many decimals an exact number has at most, or the seconds of a moment
    unsigned: bool = False
    quoted: bool = False  # a number written as a string

    @property
    def is_year(self) -> bool:
        """Whether this is a column of type YEAR."""
        return self.column is not None and self.column.data_type == "year"

    @property
    def is_date(self) -> bool:
        """Whether this is a column of type DATE."""
        return self.column is not None and self.column.data_type == "date"

    @property
    def is_null_date(self) -> bool:
        """Whether IS NULL of this is rewritten to ``= 0`` wherever a WHERE clause decides by AND and OR alone.

        So it is for a DATE or DATETIME column that is NOT NULL (``Item_func_isnull::remove_eq_conds`` of MariaDB's
        ``sql/sql_select.cc``, and of MySQL).
        """
        return self.column is not None and not self.column.nullable and self.column.data_type in ("date", "datetime")

    @property
    def unread(self) -> str:
        """What this is, where it is text that cannot be read; "" for anything else."""
        if self.kind != "opaque" or self.column is None or not self.column.charset:
            return ""
        return f"text in charset {self.column.charset}, which cannot be read exactly"


def constant(kind: Kind, value: object, node: Node, **facts: Any) -> Operand:
    """Return an operand that is the same for every row."""
    return Operand(kind, lambda _row: value, node, **facts)


def kind_of(column: Column) -> Kind:
    """Return what a column's values are to a comparison; ``opaque`` for those that only a server can compare."""
    kind = _KINDS.get(column.data_type, "opaque")
    is_tolerant = kind == "float" and "," in column.type  # DOUBLE(M,D) compares with a tolerance.
    is_unread = kind == "text" and not named(column.charset).codec
    return "opaque" if is_tolerant or is_unread else kind


def column_operand(node: Node, index: int, column: Column) -> Operand:
    """Return the operand of a column whose value is at ``index`` of a row; ``opaque`` for other types."""
    kind = kind_of(column)
    size = [int(number) for number in re.findall(r"\d+", column.type.partition(")")[0])]
    convert: Callable[[Any], Any] | None = None
    if kind == "text":
        convert = partial(_certain, column)
    elif kind == "temporal":
        convert = _full
    elif column.data_type == "binary":
        convert = partial(_pad_bytes, size[0])
    unsigned = "unsigned" in column.type or "zerofill" in column.type or column.data_type in ("bit", "year")
    scale = size[1] if kind == "decimal" and len(size) > 1 else size[0] if kind == "temporal" and size else 0
    return Operand(kind, _value(index, convert), node, column, scale, unsigned)


def _value(index: int, convert: Callable[[Any], Any] | None) -> Evaluate:
    if convert is None:
        return itemgetter(index)
    return lambda row: None if (value := row[index]) is None else convert(value)


def _certain(column: Column, value: object) -> str:
    """Return a text; what cannot be read exactly comes as bytes, and no filter can decide on it."""
    if isinstance(value, str):
        return value
    raise UndecidableFilter(
        f"column {column.name} holds bytes that are no certain text in charset {column.charset}",
        hint="let the filter decide by another column, or leave this transaction out",
    )


def _pad_bytes(size: int, value: bytes) -> bytes:
    """Give a BINARY the trailing zero bytes that the log leaves out."""
    return value.ljust(size, b"\0")


def literal(node: Node) -> Operand:
    """Return the operand of a literal. Raises ValueError for a number that no column holds."""
    match node.op:
        case "number":
            return _number(node, node.value)
        case "null":
            return constant("null", None, node)
        case _:
            return constant("string" if node.op == "string" else "hex", node.value, node)


def _number(node: Node, text: str) -> Operand:
    if re.search("[eE]", text):
        return constant("float", float(text), node)
    digits, _, decimals = text.lstrip("-").partition(".")
    if len(digits.lstrip("0")) + len(decimals) > _DIGITS_MAX or len(decimals) > SCALE_MAX:
        raise ValueError("has too many digits")
    if "." not in text and -(2**63) <= int(text) < 2**64:
        return constant("integer", int(text), node, unsigned=int(text) >= 2**63)
    return constant("decimal", Decimal(text), node, scale=len(decimals))


def adapt(operand: Operand, other: Operand) -> Operand:
    """Return a ``string`` or ``hex`` literal as what it is to ``other``; ValueError where that is unclear."""
    if operand.kind == "string":
        return _adapt_string(operand, other)
    return _adapt_hex(operand, other) if operand.kind == "hex" else operand


def _adapt_string(operand: Operand, other: Operand) -> Operand:
    text = operand.node.value
    if other.column is not None and other.column.data_type == "bit":
        raise ValueError("is a string, for whose characters servers look in an index of BIT: write it without quotes")
    match other.kind:
        case "integer" | "decimal" | "float" if not other.is_year:
            if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) or len(text) > _STRING_DIGITS_MAX:
                raise ValueError("is a string, and is compared with a number")
            return replace(_number(operand.node, text), quoted=True)
        case "text" | "null":
            return replace(operand, kind=other.kind)
        case "bytes" if text.isascii():
            return constant("bytes", text.encode("ascii"), operand.node)
        case "temporal":
            return constant("temporal", _moment(text), operand.node)
    if other.unread:
        raise ValueError(f"is compared with {other.unread}")
    raise ValueError("is a string, and can't be compared with this")


def _adapt_hex(operand: Operand, other: Operand) -> Operand:
    text = operand.node.value
    base = 2 if text[0] in "bB" or text[:2] == "0b" else 16
    digits = text[2:].strip("'")
    if other.kind == "bytes":
        count = -(-len(digits) // (8 if base == 2 else 2))
        return constant("bytes", int(digits or "0", base).to_bytes(count, "big"), operand.node)
    number = int(digits or "0", base)
    if other.kind == "integer" and text[0] not in "xX" and number < 2**64:
        return constant("integer", number, operand.node, unsigned=True)
    raise ValueError("is hexadecimal, and is compared with neither an integer nor binary data")


def check_equality(literal: Operand, other: Operand) -> None:
    """Raise ValueError for a literal that servers look up in an index as another value of the column's type.

    MariaDB then finds 2 for 1.5 in an index of integers, and nothing for it where there is no index.
    """
    if other.column is None or literal.column is not None or literal.node.op not in ("number", "string"):
        return
    if other.column.data_type in ("enum", "set"):
        if literal.node.value.isspace():
            raise ValueError("is a blank, which an index finds in other rows than a comparison")
    elif literal.kind in NUMERIC | {"temporal"} and other.kind not in ("float", "null"):
        value = str(literal.evaluate(()))
        if _decimals(value) > other.scale:
            raise ValueError(f"has more decimals than {other.column.type}, and so is found by an index alone")


def _decimals(number: str) -> int:
    """Return how many digits after the point count."""
    if "e" in number:
        number = f"{Decimal(number):f}"
    return len(number.partition(".")[2].rstrip("0"))


def is_year_literal(operand: Operand) -> bool:
    """Whether a YEAR may be compared with this and the server takes the number as it is."""
    node = operand.node
    return operand.kind == "null" or (node.op == "number" and operand.kind == "integer" and int(node.value) in _YEARS)


def _moment(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?", text, re.ASCII):
        raise ValueError("is no full date or time (write 'YYYY-MM-DD' or 'YYYY-MM-DD hh:mm:ss')")
    full = _full(text)
    if full != _ZERO_DATE:
        datetime.fromisoformat(full)
    return full


def _full(moment: str) -> str:
    """Write a date or time so that the order of the texts is that of the moments."""
    if len(moment) == len("YYYY-MM-DD"):
        moment += " 00:00:00"
    return (moment if "." in moment else moment + ".").ljust(len("YYYY-MM-DD hh:mm:ss.ffffff"), "0")
