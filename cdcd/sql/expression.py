"""The language of row filters: text in, tree out, with the precedence of the servers' own grammar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cdcd.errors import SchemaMismatch
from cdcd.sql.tokens import Token, tokenize

DEPTH_MAX = 30
"""How deep parentheses and operators may nest: far more than a filter needs, far less than a stack holds."""

COMPARISONS = frozenset({"=", "<=>", "<>", "!=", "<", "<=", ">", ">="})
_NO_COLUMN = frozenset(
    {"AND", "OR", "XOR", "NOT", "IN", "IS", "LIKE", "BETWEEN", "MOD", "DIV", "CASE", "INTERVAL", "EXISTS"}
    | {"BINARY", "SELECT", "REGEXP", "RLIKE", "COLLATE"}
)


class UndecidableFilter(SchemaMismatch):
    """A row filter compares values in a way that only the server itself can decide."""

    hint = (
        "compare numbers with numbers; text for equality in a _bin collation or as plain ASCII, and for order in a _bin"
        " collation of utf8mb4, utf8mb3 or ascii"
    )


@dataclass(frozen=True, slots=True)
class Node:
    """An operator with its arguments, or a leaf: ``column``, ``number``, ``string``, ``hex``, ``null``."""

    op: str
    at: int  # offset in the text, for messages
    args: tuple[Node, ...] = ()
    value: str = ""
    depth: int = 1


def point(text: str, at: int, message: str) -> str:
    """Return the message with the filter below it and a caret under what is wrong."""
    line = text.replace("\n", " ").replace("\t", " ")
    return f"{message}\n  {line}\n  {' ' * at}^"


def parse(text: str) -> Node:
    """Read a filter. Raises ValueError, with a caret under it, for what the language does not have."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._next = 0
        self._open = 0

    def parse(self) -> Node:
        node = self._or()
        if self._peek():
            raise self._error("is not expected here, or is not supported in a filter")
        return node

    def _or(self) -> Node:
        return self._chain("or", self._xor, "OR", "||")

    def _xor(self) -> Node:
        return self._binary(self._and, "XOR")

    def _and(self) -> Node:
        return self._chain("and", self._not, "AND", "&&")

    def _not(self) -> Node:
        at = self._at()
        if self._accept("NOT"):
            return self._deeper(lambda: self._node("not", at, self._not()))
        return self._test()

    def _test(self) -> Node:
        node = self._predicate()
        while True:
            at = self._at()
            if self._accept("IS"):
                negated = self._accept("NOT")
                if not (what := self._accept("NULL", "TRUE", "FALSE")):
                    raise self._error("must be NULL, TRUE or FALSE")
                node = self._negate(self._node(f"is {what.lower()}", at, node), bool(negated))
            elif operator := self._accept(*COMPARISONS):
                node = self._node(operator, at, node, self._predicate())
            else:
                return node

    def _predicate(self) -> Node:
        node, at = self._sum(), self._at()
        negated = bool(self._peek(1) in ("IN", "BETWEEN", "LIKE") and self._accept("NOT"))
        match self._accept("IN", "BETWEEN", "LIKE"):
            case "IN":
                node = self._node("in", at, node, *self._list())
            case "BETWEEN":
                low = self._sum()
                self._expect("AND")
                node = self._node("between", at, node, low, self._sum())
            case "LIKE":
                node = self._node("like", at, node, self._primary())
            case _:
                return node
        return self._negate(node, negated)

    def _list(self) -> list[Node]:
        self._expect("(")
        items = [self._sum()]
        while self._accept(","):
            items.append(self._sum())
        self._expect(")")
        return items

    def _sum(self) -> Node:
        return self._binary(self._product, "+", "-")

    def _product(self) -> Node:
        return self._binary(self._unary, "*", "/", "%", "MOD")

    def _unary(self) -> Node:
        at = self._at()
        operator = self._accept("-", "+", "!")
        if not operator:
            return self._primary()
        node = self._deeper(self._unary)
        if operator == "-" and node.op == "number" and not node.value.startswith("-"):
            return Node("number", at, value="-" + node.value)
        return node if operator == "+" else self._node({"-": "neg", "!": "not"}[operator], at, node)

    def _primary(self) -> Node:
        at = self._at()
        if self._accept("("):
            node = self._deeper(self._or)
            self._expect(")")
            return node
        if self._next == len(self._tokens):
            raise self._error("is missing something here")
        token = self._tokens[self._next]
        following = self._peek(1)
        if following in ("(", ".") and token.is_identifier:
            raise self._error("calls a function" if following == "(" else "has a table before its column")
        self._next += 1
        match token.kind, token.keyword:
            case (("number" | "hex" | "string"), _):
                return Node(token.kind, at, value=token.value)
            case _, ("NULL" | "TRUE" | "FALSE" as constant):
                return Node("null", at) if constant == "NULL" else Node("number", at, value="01"[constant == "TRUE"])
            case (("name" | "word"), keyword) if keyword not in _NO_COLUMN:
                return Node("column", at, value=token.value)
        self._next -= 1
        raise self._error("is no column and no value")

    def _chain(self, op: str, operand: Callable[[], Node], *operators: str) -> Node:
        """Read operands that one node takes all together, so that a long chain is not a deep tree."""
        at, args = self._at(), [operand()]
        while self._accept(*operators):
            args.append(operand())
        return args[0] if len(args) == 1 else self._node(op, at, *args)

    def _binary(self, operand: Callable[[], Node], *operators: str) -> Node:
        node = operand()
        while True:
            at = self._at()
            if not (operator := self._accept(*operators)):
                return node
            node = self._node({"MOD": "%"}.get(operator, operator.lower()), at, node, operand())

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self._open += 1
        if self._open > DEPTH_MAX:
            raise self._error(f"nests deeper than {DEPTH_MAX}")
        node = read()
        self._open -= 1
        return node

    def _negate(self, node: Node, negated: bool) -> Node:
        return self._node("not", node.at, node) if negated else node

    def _node(self, op: str, at: int, *args: Node) -> Node:
        depth = 1 + max(arg.depth for arg in args)
        if depth > DEPTH_MAX:
            raise self._error(f"nests deeper than {DEPTH_MAX}")
        return Node(op, at, args, depth=depth)

    def _peek(self, offset: int = 0) -> str:
        """Return the keyword or operator at the offset; for anything else, a text that is neither."""
        index = self._next + offset
        return _symbol(self._tokens[index]) if index < len(self._tokens) else ""

    def _accept(self, *symbols: str) -> str:
        symbol = self._peek()
        if not symbol or symbol not in symbols:
            return ""
        self._next += 1
        return symbol

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._error(f"should be {symbol!r}")

    def _at(self) -> int:
        return self._tokens[self._next].start if self._next < len(self._tokens) else len(self._text)

    def _error(self, message: str) -> ValueError:
        at = self._at()
        end = self._tokens[self._next].end if self._next < len(self._tokens) else at
        return ValueError(point(self._text, at, f"{self._text[at:end] or 'the end'!r} {message}"))


def _symbol(token: Token) -> str:
    return token.value if token.kind == "operator" else token.keyword or f"a {token.kind}"
