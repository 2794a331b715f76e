"""Tie a row filter to the columns of a table: types are settled here, once, and rows only run closures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from cdcd.model.table import Column
from cdcd.route import numbers
from cdcd.route.collation import Collation
from cdcd.route.operand import (
    MIDNIGHT,
    NUMERIC,
    Evaluate,
    Operand,
    Row,
    adapt,
    check_equality,
    column_operand,
    is_year_literal,
    literal,
)
from cdcd.sql import quote
from cdcd.sql.expression import COMPARISONS, Node, UndecidableFilter, point

Order = Callable[[Any, Any], int]
Truth = Callable[[Row], bool | None]
Args = ParamSpec("Args")
Result = TypeVar("Result")

_TESTS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "<>": lambda order: order != 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
_ORDERED = frozenset({"<", "<=", ">", ">="})
_BYTES = Collation(exact=True, folds_case=False, pads=False, in_code_point_order=True)


class Binder:
    """Binds the nodes of one filter. Raises UndecidableFilter, with a caret under the place."""

    def __init__(self, text: str, columns: Sequence[Column]) -> None:
        self._text = text
        self._columns = {column.name.lower(): (index, column) for index, column in enumerate(columns)}

    def condition(self, node: Node) -> Truth:
        """Return a function of a row that is True, False, or None for SQL's unknown."""
        operand = self._bind(node)
        if operand.kind not in NUMERIC and operand.kind != "null":
            raise self._refuse(node, "is no condition: compare it with something")
        evaluate = operand.evaluate
        return lambda row: None if (value := evaluate(row)) is None else value != 0

    def _bind(self, node: Node) -> Operand:
        match node.op:
            case "column":
                return self._column(node)
            case "number" | "string" | "hex" | "null":
                return self._try(node, literal, node)
            case "+" | "-" | "*" | "/" | "%" | "neg":
                return self._arithmetic(node)
            case "and" | "or":
                return self._logical(node, self._and_or(node))
            case "xor":
                return self._logical(node, self._xor(node))
            case "not":
                truth = self.condition(node.args[0])
                return self._logical(node, lambda row: None if (value := truth(row)) is None else not value)
            case "is null" | "is true" | "is false":
                return self._logical(node, self._is(node))
            case "in" | "between":
                return self._logical(node, self._in(node) if node.op == "in" else self._between(node))
            case "like":
                return self._logical(node, self._like(node))
        assert node.op in COMPARISONS, node.op
        return self._logical(node, self._comparison(node))

    def _logical(self, node: Node, evaluate: Evaluate) -> Operand:
        return Operand("integer", evaluate, node)

    def _column(self, node: Node) -> Operand:
        if not (found := self._columns.get(node.value.lower())):
            raise self._refuse(node, f"is not a column of the table; it has {', '.join(self._columns)}")
        return column_operand(node, *found)

    def _and_or(self, node: Node) -> Truth:
        conditions = [self.condition(arg) for arg in node.args]
        decisive = node.op == "or"

        def evaluate(row: Row) -> bool | None:
            result: bool | None = not decisive
            for condition in conditions:
                value = condition(row)
                if value is decisive:
                    return decisive
                if value is None:
                    result = None
            return result

        return evaluate

    def _xor(self, node: Node) -> Truth:
        for arg in node.args:
            if self._bind(arg).kind not in ("integer", "null"):
                raise self._refuse(arg, "is no integer, which XOR would round")
        left, right = (self.condition(arg) for arg in node.args)

        def evaluate(row: Row) -> bool | None:
            a, b = left(row), right(row)
            return None if a is None or b is None else a != b

        return evaluate

    def _is(self, node: Node) -> Truth:
        if node.op == "is null":
            operand = self._bind(node.args[0])
            if operand.is_null_date:
                raise self._refuse(node, *_is_null_of_date(node.args[0]))
            value = operand.evaluate
            return lambda row: value(row) is None
        truth, wanted = self.condition(node.args[0]), node.op == "is true"
        return lambda row: truth(row) is wanted

    def _comparison(self, node: Node) -> Truth:
        left, right = self._pair(self._bind(node.args[0]), self._bind(node.args[1]))
        order = self._order(node, left, right, ordered=node.op in _ORDERED)
        if node.op in ("=", "<=>"):
            self._check_equality(left, right)
        a_value, b_value = left.evaluate, right.evaluate
        if node.op == "<=>":

            def null_safe(row: Row) -> bool:
                a, b = a_value(row), b_value(row)
                return a is b if a is None or b is None else order(a, b) == 0

            return null_safe
        test = _TESTS[node.op]

        def evaluate(row: Row) -> bool | None:
            a, b = a_value(row), b_value(row)
            return None if a is None or b is None else test(order(a, b))

        return evaluate

    def _in(self, node: Node) -> Truth:
        value = self._bind(node.args[0])
        equals = [self._equals(node, value, self._bind(item)) for item in node.args[1:]]

        def evaluate(row: Row) -> bool | None:
            result: bool | None = False
            for equal in equals:
                answer = equal(row)
                if answer:
                    return True
                if answer is None:
                    result = None
            return result

        return evaluate

    def _equals(self, node: Node, value: Operand, item: Operand) -> Truth:
        left, right = self._pair(value, item)
        order, a_value, b_value = self._order(node, left, right, ordered=False), left.evaluate, right.evaluate
        self._check_equality(left, right)
        return lambda row: None if (a := a_value(row)) is None or (b := b_value(row)) is None else order(a, b) == 0

    def _between(self, node: Node) -> Truth:
        value, *bounds = (self._bind(arg) for arg in node.args)
        kinds = set()
        for bound in bounds:
            _, adapted = self._pair(value, bound)
            kinds.add((adapted.kind == "float", adapted.quoted, adapted.kind in NUMERIC))
        if len(kinds) > 1 and "null" not in {bound.kind for bound in bounds}:
            raise self._refuse(node, "has bounds of different types, which decide together how all compare")
        low = self._pair(value, bounds[0])[1]
        if value.is_date and low.kind == "temporal" and not low.column and not low.evaluate(()).endswith(MIDNIGHT):
            raise self._refuse(low.node, "has a time of day, by which NOT BETWEEN loses rows where a DATE has an index")
        both = Node("and", node.at, (Node(">=", node.at, node.args[:2]), Node("<=", node.at, node.args[::2])))
        return self._and_or(both)

    def _like(self, node: Node) -> Truth:
        value, pattern = self._bind(node.args[0]), node.args[1]
        if value.unread:
            raise self._refuse(node, f"is asked of {value.unread}")
        if value.kind not in ("text", "bytes") or pattern.op != "string":
            raise self._refuse(node, "needs a text column and a string")
        column = value.column
        assert column is not None, "only columns are text before a literal adapts"
        collation = Collation.named(column.collation, column.charset) if value.kind == "text" else _BYTES
        matches = self._try(pattern, collation.like, pattern.value) if collation else None
        if matches is None or (value.kind == "bytes" and not pattern.value.isascii()):
            raise self._refuse(node, f"can't be decided in collation {column.collation!r}")
        text = value.evaluate
        if value.kind == "bytes":
            return lambda row: None if (found := text(row)) is None else matches(found.decode("latin-1"))
        return lambda row: None if (found := text(row)) is None else matches(found)

    def _arithmetic(self, node: Node) -> Operand:
        args = node.args if node.op != "neg" else (Node("number", node.at, value="0"), *node.args)
        left, right = (self._bind(arg) for arg in args)
        for operand in (left, right):
            if operand.kind not in NUMERIC and operand.kind != "null":
                raise self._refuse(operand.node, "is no number")
        kind, scale, operate = self._operation("-" if node.op == "neg" else node.op, left, right, node)
        a_value, b_value = left.evaluate, right.evaluate

        def evaluate(row: Row) -> Any:
            a, b = a_value(row), b_value(row)
            return None if a is None or b is None else operate(a, b)

        unsigned = kind == "integer" and _is_unsigned(node, left, right)
        return Operand(kind, evaluate, node, scale=scale, unsigned=unsigned)

    def _operation(self, op: str, left: Operand, right: Operand, node: Node) -> tuple[Any, int, numbers.Operation]:
        if "float" in (left.kind, right.kind):
            return "float", 0, numbers.on_floats(op)
        if op != "/" and "decimal" not in (left.kind, right.kind):
            return "integer", 0, numbers.on_integers(op, _is_unsigned(node, left, right))
        scales = {"*": left.scale + right.scale, "/": left.scale + numbers.DIVISION_SCALE}
        scale = scales.get(op, max(left.scale, right.scale))
        if scale > numbers.SCALE_MAX:
            raise self._refuse(node, "has more decimals than a server keeps")
        return "decimal", scale, numbers.on_decimals(op, scale)

    def _pair(self, left: Operand, right: Operand) -> tuple[Operand, Operand]:
        """Give literals the type of what they are compared with."""
        return self._try(left.node, adapt, left, right), self._try(right.node, adapt, right, left)

    def _check_equality(self, left: Operand, right: Operand) -> None:
        self._try(left.node, check_equality, left, right)
        self._try(right.node, check_equality, right, left)

    def _order(self, node: Node, left: Operand, right: Operand, ordered: bool) -> Order:
        kinds = {left.kind, right.kind}
        if "null" in kinds:
            return numbers.order  # Never called: a comparison with NULL ends before.
        if left.is_year != right.is_year and not (is_year_literal(left) or is_year_literal(right)):
            raise self._refuse(node, "compares a YEAR with something else than a year from 1901 to 2155")
        if _is_like(left.node) and _is_like(right.node):
            # MariaDB 10.11 takes `a LIKE 'x'` and `a NOT LIKE 'x'` for the same (Item_func_like::eq).
            raise self._refuse(node, "compares one LIKE with another, which servers may take for the same")
        if kinds <= NUMERIC:
            if left.quoted or right.quoted or kinds == {"integer", "float"}:
                return numbers.order_either_way
            return numbers.order_as_floats if "float" in kinds else numbers.order
        if kinds in ({"bytes"}, {"temporal"}):
            return numbers.order
        if kinds == {"text"}:
            return self._text_order(node, left, right, ordered)
        names = " with ".join(_describe(operand) for operand in (left, right))
        raise self._refuse(node, f"compares {names}, which a server converts in ways of its own")

    def _text_order(self, node: Node, left: Operand, right: Operand, ordered: bool) -> Order:
        names = {(side.column.collation, side.column.charset) for side in (left, right) if side.column}
        if len(names) > 1:
            raise self._refuse(node, "compares columns of different collations")
        [(name, charset)] = names
        collation = Collation.named(name, charset)
        if collation is None or (order := collation.order(ordered)) is None:
            raise self._refuse(node, f"can't be decided in collation {name!r}")
        return order

    def _try(self, node: Node, function: Callable[Args, Result], *args: Args.args, **options: Args.kwargs) -> Result:
        """Call the function and point at the node when it raises ValueError."""
        try:
            return function(*args, **options)
        except ValueError as error:
            raise self._refuse(node, str(error)) from error

    def _refuse(self, node: Node, message: str, hint: str = "") -> UndecidableFilter:
        name = repr(node.value) if node.value else node.op.upper()
        return UndecidableFilter(point(self._text, node.at, f"filter: {name} {message}"), hint=hint)


def _is_unsigned(node: Node, left: Operand, right: Operand) -> bool:
    """Whether the server takes the result for a BIGINT UNSIGNED: a remainder is as its dividend."""
    match node.op:
        case "neg":
            return False
        case "%":
            return left.unsigned
        case _:
            return left.unsigned or right.unsigned


def _is_like(node: Node) -> bool:
    return node.op == "like" or (node.op == "not" and _is_like(node.args[0]))


def _is_null_of_date(column: Node) -> tuple[str, str]:
    """Say why a date that is never NULL is not asked for NULL, and what to write instead."""
    name = quote.identifier(column.value)
    return (
        f"is asked of {name}, a date that is NOT NULL, for which servers find '0000-00-00' in some places of a WHERE"
        " clause, and nothing in others",
        f"write {name} = '0000-00-00' for such rows, {name} <> '0000-00-00' for the others",
    )


def _describe(operand: Operand) -> str:
    return operand.unread or (operand.column.type if operand.column else f"a {operand.kind}")
