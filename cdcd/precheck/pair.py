"""Judge the two servers of a link against each other."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

from cdcd.precheck.problem import Problem
from cdcd.precheck.server import Server

CLOCK_SECONDS_MAX = 2
IN_FILE_TOO = ", and in its option file, so that it lasts"


def check_pair(path: str, source: Server, target: Server) -> Iterator[Problem]:
    """Yield what is wrong between the two servers of a link."""
    here, there = source.site.name, target.site.name
    if source.identity == target.identity:
        text = f"sites {here} and {there} are the same server, {source.site.address}"
        yield Problem.error(path, text, f"sites.{there}: host, port or socket")
        return
    server_id = source.number("server_id")
    if server_id == target.number("server_id"):
        text = f"sites {here} and {there} have the same server_id {server_id}, so their transactions look alike"
        fix = f"SET GLOBAL server_id = {(server_id or 0) + 1};  -- on {there}{IN_FILE_TOO}"
        yield Problem.error(path, text, fix)
    ours, theirs = source.number("max_allowed_packet") or 0, target.number("max_allowed_packet") or 0
    if theirs < ours:
        text = (
            f"max_allowed_packet of {there} ({theirs} bytes) is below that of {here} ({ours}): a large row may not fit"
        )
        yield Problem.warning(path, text, f"SET GLOBAL max_allowed_packet = {ours};  -- on {there}{IN_FILE_TOO}")
    yield from _check_clocks(path, source, target)
    for replica, upstream in ((source, target), (target, source)):
        if replica.replicates_from(upstream):
            yield _two_ways(path, replica, upstream)


def _two_ways(path: str, replica: Server, upstream: Server) -> Problem:
    """Return the problem of a server that replicates by itself from the other end of a link."""
    here, there = replica.site.name, upstream.site.name
    text = (
        f"{here} replicates from {there} by itself too: rows would come twice, or go back to where they were changed"
        " since"
    )
    end = replica.flavor.advice.end_replication
    fix = f"{end}  -- on {here}, or let it leave out the link's tables and database cdcd"
    make = Problem.warning if replica.takes_some else Problem.error
    return make(path, text, fix)


def check_counters(path: str, source: Server, target: Server) -> Iterator[Problem]:
    """Yield a warning when both sites of an active-active pair hand out the same AUTO_INCREMENT numbers."""
    steps = [server.number("auto_increment_increment") or 1 for server in (source, target)]
    offsets = [server.number("auto_increment_offset") or 1 for server in (source, target)]
    if (offsets[0] - offsets[1]) % gcd(*steps):
        return
    text = (
        f"{source.site.name} and {target.site.name} hand out the same AUTO_INCREMENT numbers, so inserts on"
        " both sides overwrite each other"
    )
    fix = "\n".join(
        f"SET GLOBAL auto_increment_increment = 2, GLOBAL auto_increment_offset = {offset};"
        f"  -- on {server.site.name}{IN_FILE_TOO}"
        for offset, server in enumerate(sorted((source, target), key=lambda server: server.site.name), 1)
    )
    yield Problem.warning(path, text, fix)


def _check_clocks(path: str, source: Server, target: Server) -> Iterator[Problem]:
    difference = abs(source.clock_seconds - target.clock_seconds)
    if difference - source.clock_error_seconds - target.clock_error_seconds > CLOCK_SECONDS_MAX:
        text = (
            f"the clocks of {source.site.name} and {target.site.name} differ by {difference:.1f} s,"
            " and lag_seconds with them"
        )
        yield Problem.warning(path, text, "run a time service (chrony, systemd-timesyncd) on both servers")
