"""Whether two patterns of ``* ? [abc] [a-z] [!abc]`` have a name in common."""

from __future__ import annotations

import re
from functools import cache

_TOKEN = re.compile(r"\[[^\]]*\]|.", re.DOTALL)
_RANGE = re.compile(r"(.)-(.)|(.)", re.DOTALL)
_RANGE_CHARACTERS_MAX = 10_000


def overlap(one: str, other: str) -> bool:
    """Return whether some name matches both; a bracket too large to look through counts as matching."""
    a, b = _TOKEN.findall(one), _TOKEN.findall(other)

    @cache
    def meet(i: int, j: int) -> bool:
        if i < len(a) and a[i] == "*":
            return meet(i + 1, j) or (j < len(b) and meet(i, j + 1))
        if j < len(b) and b[j] == "*":
            return meet(i, j + 1) or (i < len(a) and meet(i + 1, j))
        if i == len(a) or j == len(b):
            return i == len(a) and j == len(b)
        return _share(a[i], b[j]) and meet(i + 1, j + 1)

    return meet(0, 0)


def _share(one: str, other: str) -> bool:
    """Return whether two tokens, neither of them a star, match a character in common."""
    if "?" in (one, other):
        return True
    (members, negated), (others, other_negated) = _members(one), _members(other)
    if members is None or others is None or (negated and other_negated):
        return True
    if negated:
        return bool(others - members)
    return bool(members - others) if other_negated else bool(members & others)


def _members(token: str) -> tuple[set[str] | None, bool]:
    """Return a token's characters and whether it means all but these; None where they are too many."""
    if len(token) == 1:
        return {token}, False
    negated = token.startswith("[!")
    members: set[str] = set()
    for first, last, single in _RANGE.findall(token[1 + negated : -1]):
        low, high = (ord(single), ord(single)) if single else (ord(first), ord(last))
        if high - low > _RANGE_CHARACTERS_MAX:
            return None, negated
        members.update(map(chr, range(low, high + 1)))
    return members, negated
