"""Arithmetic as the servers do it: 64-bit integers, exact decimals, and doubles.

Where a server would answer with an error, or where servers differ, UndecidableFilter is raised; NULL is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal, Inexact
from typing import Any

from cdcd.sql.expression import UndecidableFilter

SCALE_MAX = 30
"""MySQL's limit of decimals; MariaDB's is 38, and past this one they differ."""
DIVISION_SCALE = 4
"""How many decimals a division adds: the default of div_precision_increment."""

_MAGNITUDE_MAX = Decimal(10) ** 40  # Beyond this, intermediate results may not fit a server's 81 digits.
_EXACT = Context(prec=200, traps=[Inexact])

Number = int | Decimal | float
Operation = Callable[[Any, Any], Number | None]


def on_integers(op: str, unsigned: bool) -> Operation:
    """Return ``+ - * %`` for integers, whose result must fit BIGINT; ``unsigned`` when an operand is."""
    low, high = (0, 2**64 - 1) if unsigned else (-(2**63), 2**63 - 1)

    def operate(left: int, right: int) -> int | None:
        match op:
            case "+":
                result = left + right
            case "-":
                result = left - right
            case "*":
                result = left * right
            case _ if right == 0:
                return None
            case _:
                return int(math.copysign(1, left)) * (abs(left) % abs(right))
        if not low <= result <= high:
            raise UndecidableFilter("an integer is out of range, which the server answers with an error")
        return result

    return operate


def on_decimals(op: str, scale: int) -> Operation:
    """Return ``+ - * / %`` for exact numbers; ``scale`` is how many decimals a division's result has."""

    def operate(left: int | Decimal, right: int | Decimal) -> Decimal | None:
        a, b = Decimal(left), Decimal(right)
        if op in "/%" and not b:
            return None
        match op:
            case "+":
                result = _EXACT.add(a, b)
            case "-":
                result = _EXACT.subtract(a, b)
            case "*":
                result = _EXACT.multiply(a, b)
            case "%":
                result = _remainder(a, b)
            case _:
                result = _quotient(a, b, scale)
        if abs(result) >= _MAGNITUDE_MAX:
            raise UndecidableFilter("a decimal is out of range")
        return result

    return operate


def _remainder(left: Decimal, right: Decimal) -> Decimal:
    """Return what is left of a division; a negative zero is below zero to MariaDB's comparisons."""
    result = _EXACT.remainder(left, right)
    if not result and left < 0:
        raise UndecidableFilter("a negative decimal leaves no remainder, which servers take for a number below 0")
    return result


def _quotient(left: Decimal, right: Decimal, scale: int) -> Decimal:
    """Divide where the quotient ends within the scale: MariaDB rounds any other to it, MySQL does not."""
    try:
        return _EXACT.quantize(_EXACT.divide(left, right), Decimal(1).scaleb(-scale))
    except Inexact:
        raise UndecidableFilter(
            "a quotient has more decimals than servers agree on",
            hint="write the division as a multiplication",
        ) from None


def on_floats(op: str) -> Operation:
    """Return ``+ - * / %`` for doubles; exact operands are converted."""

    def operate(left: Number, right: Number) -> float | None:
        a, b = float(left), float(right)
        if op in "/%" and not b:
            return None
        match op:
            case "+":
                result = a + b
            case "-":
                result = a - b
            case "*":
                result = a * b
            case "%":
                result = math.fmod(a, b)
            case _:
                result = a / b
        if not math.isfinite(result):
            raise UndecidableFilter("a double is out of range, which the server answers with an error")
        return result

    return operate


def order(left: Number, right: Number) -> int:
    """Compare exact numbers, or doubles, exactly."""
    return (left > right) - (left < right)


def order_as_floats(left: Number, right: Number) -> int:
    """Compare as doubles, as servers do when one of the two is one."""
    return order(float(left), float(right))


def order_either_way(left: Number, right: Number) -> int:
    """Compare an integer with a double, or a number with a string: servers do it exactly, or as doubles."""
    exact = order(left, right)
    if exact != order_as_floats(left, right):
        raise UndecidableFilter(
            "a number has too many digits to be compared with a double or a string",
            hint="compare it with a number",
        )
    return exact
