"""Every row reaches a site by one way: what relaying links may be together.

A link carries what was born at its source and, with ``relay``, what other links brought there, except what was born
at its target. Where an origin's rows reach a site by two ways, one of them comes late: an older row then overwrites a
newer one, and what arrives a second time is relayed again, round and round. So such links are refused, unless no
table can be carried by both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from cdcd.config import overlap

_BRACKETS = re.compile(r"\[[^\]]*\]")


class Carrier(NamedTuple):
    """What decides about the ways of one link."""

    name: str
    source: str
    target: str
    relay: bool
    tables: tuple[str, ...]
    renames: bool


class Way(NamedTuple):
    """How an origin's rows come to a site: the sites on the way, and the link that they arrive by."""

    sites: tuple[str, ...]
    last: Carrier

    def __str__(self) -> str:
        """Return the sites from the origin on."""
        return " to ".join(self.sites)


def two_ways(links: list[Carrier]) -> Iterator[tuple[Way, Way]]:
    """Yield pairs of ways by which the same rows would reach one site."""
    if not any(link.relay for link in links):
        return
    for origin in dict.fromkeys(link.source for link in links):
        ways = _ways(origin, links)
        renames = any(way.last.renames for arriving in ways.values() for way in arriving)
        for arriving in ways.values():
            for one, other in combinations(arriving, 2):
                if renames or may_meet(one.last.tables, other.last.tables):
                    yield one, other


def _ways(origin: str, links: list[Carrier]) -> Mapping[str, list[Way]]:
    """Return for each site the links that bring the origin's rows, with the sites before it."""
    arriving: dict[str, list[Way]] = {}
    reached: dict[str, tuple[str, ...]] = {origin: (origin,)}
    waiting = [origin]
    while waiting:
        site = waiting.pop(0)
        for link in links:
            if link.source != site or link.target == origin or not (link.relay or site == origin):
                continue
            way = Way((*reached[site], link.target), link)
            arriving.setdefault(link.target, []).append(way)
            if link.target not in reached:
                reached[link.target] = way.sites
                waiting.append(link.target)
    return arriving


def may_meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether two sets of rules may match the same table, compared as where case does not count."""
    return any(overlap.overlap(_folded(first), _folded(second)) for first in one for second in other)


def _folded(rule: str) -> str:
    """Return a rule that matches as much, and more, where case may not count: any character for a bracket."""
    return _BRACKETS.sub("?", rule).lower()
