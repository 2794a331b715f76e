"""What the servers say about two texts, as far as it can be said without their weight tables.

A collation is known in one of two ways. ``_bin`` and ``binary`` compare characters as such, and order them by their
codes in the charset, which is known here where those are Unicode's. The common others
agree with each other on printable ASCII; beyond it only identical texts are certain to be equal, and all else
raises UndecidableFilter. Trailing spaces count in NO PAD collations only (MariaDB Knowledge Base, "Supported
Character Sets and Collations"); LIKE counts them always.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from cdcd.row.charset import named
from cdcd.sql.expression import UndecidableFilter

Order = Callable[[str, str], int]
"""Return a number below, equal to or above 0; for equality alone, 0 or not 0."""

_ASCII_AGREES = re.compile(
    r"(?:\w+_)?(?:general_(?:nopad_|mysql500_)?ci|unicode_(?:520_)?(?:nopad_)?ci"
    r"|0900_a[is]_c[is]|uca1400_(?:nopad_)?a[is]_c[is])|latin1_swedish_(?:nopad_)?ci"
)
_PRINTABLE = re.compile(r"[ -~]*")


class Collation(NamedTuple):
    """How texts compare."""

    exact: bool  # characters count as such, beyond ASCII too
    folds_case: bool
    pads: bool
    in_code_point_order: bool

    @classmethod
    def named(cls, name: str, charset: str) -> Collation | None:
        """Return the collation of that name, or None when nothing is known of it."""
        exact = name == "binary" or name.endswith("_bin")
        if not exact and not _ASCII_AGREES.fullmatch(name):
            return None
        pads = name != "binary" and "nopad" not in name and "_0900_" not in name
        return cls(exact, name.endswith("_ci"), pads, named(charset).is_ordered)

    def order(self, ordered: bool) -> Order | None:
        """Return how two texts compare, or None when their order is wanted and is not known."""
        if self.exact:
            return self._exact() if self.in_code_point_order or not ordered else None
        return None if ordered else self._inexact()

    def like(self, pattern: str) -> Callable[[str], bool] | None:
        """Compile a LIKE pattern, or return None when it can't be decided; raise ValueError for a bad one."""
        if not self.exact and not (self.folds_case and _PRINTABLE.fullmatch(pattern)):
            return None
        regex = re.compile(_like_regex(pattern), re.DOTALL | (re.NOFLAG if self.exact else re.IGNORECASE))
        exact = self.exact

        def matches(value: str) -> bool:
            if not exact and not _PRINTABLE.fullmatch(value):
                raise _undecidable()
            return regex.fullmatch(value) is not None

        return matches

    def _exact(self) -> Order:
        pads = self.pads

        def order(left: str, right: str) -> int:
            if pads:
                width = max(len(left), len(right))
                left, right = left.ljust(width), right.ljust(width)
            return (left > right) - (left < right)

        return order

    def _inexact(self) -> Order:
        pads, folds_case = self.pads, self.folds_case

        def order(left: str, right: str) -> int:
            if pads:
                left, right = left.rstrip(" "), right.rstrip(" ")
            if left == right:
                return 0
            if not (_PRINTABLE.fullmatch(left) and _PRINTABLE.fullmatch(right)):
                raise _undecidable()
            return 0 if folds_case and left.lower() == right.lower() else 1

        return order


def _like_regex(pattern: str) -> str:
    parts = []
    for piece in re.findall(r"\\.|.", pattern, re.DOTALL):
        match piece:
            case "%":
                parts.append(".*")
            case "_":
                parts.append(".")
            case "\\":
                raise ValueError("the pattern ends in a backslash")
            case _:
                parts.append(re.escape(piece[-1]))
    return "".join(parts)


def _undecidable() -> UndecidableFilter:
    return UndecidableFilter("a text is not plain ASCII, and its collation alone can tell what it equals")
