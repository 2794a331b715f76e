"""Ask both servers of a link for the tables that it carries, and let the judges speak."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cdcd.config.schema import Link
from cdcd.errors import AccessDenied, CdcdError, Lost, ServerError
from cdcd.model.table import Table, TableName
from cdcd.mysql.schema import list_tables, read_tables
from cdcd.mysql.session import Session
from cdcd.precheck import grants
from cdcd.precheck.both_ways import Side, check_both_ways
from cdcd.precheck.filters import check_case, check_filters
from cdcd.precheck.pair import check_counters, check_pair
from cdcd.precheck.problem import Problem
from cdcd.precheck.server import Server, TableFacts, list_sequences, read_facts
from cdcd.precheck.tables import (
    Sides,
    check_collisions,
    check_definitions,
    check_missing,
    check_table,
    check_target,
)
from cdcd.route.rules import Rules
from cdcd.sql import quote

Connected = tuple[Session, Server]
Names = Mapping[TableName, TableName]  # a carried table's name on the source, and on the target


async def check_link(
    link: Link, source: Connected, target: Connected, *, earlier: Sequence[Link] = (), later: Sequence[Link] = ()
) -> list[Problem]:
    """Return what is wrong between the two servers of a link and with the tables that it carries.

    ``earlier`` and ``later`` are the links of the opposite way, by their place in the file: what concerns both ways
    is said once, by the first.
    """
    path = f"links.{link.name}"
    problems = [] if earlier else list(check_pair(path, source[1], target[1]))
    try:
        rules = _rules(link)
        names = {name: rules.target_name(name) for name in await list_tables(source[0]) if rules.carries(name)}
        problems += check_case(path, link, source[1])
        sequences = [name for name in await list_sequences(source[0]) if rules.carries(name)]
        # Where the link goes on, its log may hold the statements that made the sides differ.
        goes_on = link.ddl and await _has_run(link, target[0])
        differences = list(_check_sequences(path, sequences))
        if names:
            problems += _check_servers(path, link, names, source[1], target[1])
            opposite = Opposite(
                [_rules(other) for other in earlier],
                [_rules(other) for other in later],
                frozenset(column for other in later for column in other.allow_loss),
            )
            found = await _check_tables(link, names, opposite, source, target)
            problems += found.problems
            differences += found.differences
        else:
            nothing = _nothing_carried(path, link, source[1])
            problems.append(nothing.mended_by_log() if link.ddl else nothing)
        problems += [problem.mended_by_log() if goes_on else problem for problem in differences]
    except CdcdError as error:
        text = f"the check could not be finished: {error}"
        problems.append(Problem.error(path, text, transient=isinstance(error, Lost)))
    return problems


@dataclass(frozen=True, slots=True)
class Opposite:
    """Which tables the links of the opposite way carry back."""

    earlier: Sequence[Rules]
    later: Sequence[Rules]
    allow_loss: Collection[str]  # of the later ones

    def __bool__(self) -> bool:
        """Whether there is such a link."""
        return bool(self.earlier or self.later)

    @staticmethod
    def carries(rules: Sequence[Rules], here: TableName, there: TableName) -> bool:
        """Return whether one of the links carries the target's table back into the source's."""
        return any(other.carries(there) and other.target_name(there) == here for other in rules)


class Found(NamedTuple):
    """What is wrong with the tables of a link."""

    problems: list[Problem]
    differences: list[Problem]  # a statement in the log may end them


async def _check_tables(link: Link, names: Names, opposite: Opposite, source: Connected, target: Connected) -> Found:
    path, rules = f"links.{link.name}", _rules(link)
    source_facts, source_tables = await _described(source, names)
    target_facts, target_tables = await _described(target, frozenset(names.values()))

    def target_name(name: TableName) -> TableName:
        return target[1].folded(rules.target_name(name))

    found = Found([], list(check_filters(path, link.where, source_tables)))
    for name, table in source_tables.items():
        there = names[name]
        if there not in target_tables:
            found.differences.append(check_missing(path, name, there, source[1].flavor.advice.dump))
            continue
        facts = source_facts[name], target_facts[there]
        sides = Sides(table, target_tables[there], *facts, link.source, link.target, target_name, link.allow_loss)
        if opposite.carries(opposite.later, name, there):
            _check_both_ways(path, sides, opposite, found)
        elif not opposite.carries(opposite.earlier, name, there):
            found.differences.extend(check_definitions(path, sides, bool(opposite)))
            found.problems.extend(check_table(path, sides))
    if opposite.later and any(facts.counts_up for facts in source_facts.values()):
        found.problems.extend(check_counters(path, source[1], target[1]))
    return found


async def _has_run(link: Link, target: Session) -> bool:
    """Return whether the link has a checkpoint on its target."""
    try:
        row = await target.fetch_one(f"SELECT 1 FROM cdcd.checkpoint WHERE link = {quote.text(link.name)} LIMIT 1")
    except (AccessDenied, ServerError):  # There is no such table, or the account may not read it, as `grants` says.
        return False
    return row is not None


async def _described(
    connected: Connected, names: Collection[TableName]
) -> tuple[dict[TableName, TableFacts], dict[TableName, Table]]:
    """Return what a server says of those tables that it has, under the names that they are asked for."""
    session, server = connected
    wanted = {server.folded(name) for name in names}
    found = await read_facts(session, lambda name: server.folded(name) in wanted)
    facts = {server.folded(name): fact for name, fact in found.items()}
    tables = {
        name: table for name, table in (await read_tables(session, names)).items() if server.folded(name) in facts
    }
    return {name: facts[server.folded(name)] for name in tables}, tables


def _check_both_ways(path: str, sides: Sides, opposite: Opposite, found: Found) -> None:
    """Judge a table for this link and for the opposite one, which comes later in the file."""

    def back(name: TableName) -> TableName:
        return next((rules.target_name(name) for rules in opposite.later if rules.carries(name)), name)

    one = Side(sides.source_site, sides.source, sides.target_name, sides.allow_loss)
    other = Side(sides.target_site, sides.target, back, opposite.allow_loss)
    found.differences.extend(check_both_ways(path, one, other))
    for side, facts in ((one, sides.source_facts), (other, sides.target_facts)):
        found.problems.extend(check_target(path, side.table, facts, side.site, side.site))


def _rules(link: Link) -> Rules:
    return Rules(link.tables, link.exclude, link.rename)


def _check_servers(path: str, link: Link, names: Names, source: Server, target: Server) -> Iterator[Problem]:
    """Yield what the servers' logs and accounts deny these tables."""
    yield from check_collisions(path, names.items())
    yield from _check_log(path, names, source)
    yield from _check_grants(path, source, grants.READ, names)
    wanted = grants.WRITE + (grants.CHANGE_SCHEMA if link.ddl else ())
    yield from _check_grants(path, target, wanted, names.values())


def _check_grants(path: str, server: Server, wanted: tuple[str, ...], names: Iterable[TableName]) -> Iterator[Problem]:
    lacking = server.grants.missing(wanted, names)
    for database, privileges, tables in grants.by_database(lacking):
        text = (
            f"the account of {server.site.name} lacks {', '.join(privileges)} on {_listed(tables)}"
            f" in database {database}"
        )
        yield Problem.error(path, text, grants.statement(privileges, database, server.account)).on(server.site.name)


def _check_log(path: str, names: Names, source: Server) -> Iterator[Problem]:
    if source.logged is None:
        return
    for database in sorted({name[0] for name in names}):
        if not source.logged.keeps(database):
            option = "binlog_do_db" if source.logged.only else "binlog_ignore_db"
            text = f"{option} on {source.site.name} keeps changes in database {database} out of the log"
            verb = "add this line to" if source.logged.only else "remove this line from"
            fix = f"{option} = {database}    # {verb} the server's option file; then restart it"
            yield Problem.error(path, text, fix)


def _check_sequences(path: str, sequences: list[TableName]) -> Iterator[Problem]:
    for database, name in sequences:
        text = f"{database}.{name} is a SEQUENCE, whose numbers can't be carried like rows"
        yield Problem.error(path, text, f'{path}.exclude = ["{database}.{name}"]')


def _nothing_carried(path: str, link: Link, source: Server) -> Problem:
    rules = ", ".join(link.tables)
    text = f"no table of {source.site.name} matches tables ({rules}) without exclude, or the account sees none"
    database = link.tables[0].partition(".")[0]
    named = "" if set("*?[") & set(database) else database
    return Problem.error(path, text, grants.statement(grants.READ, named, source.account))


def _listed(tables: list[str]) -> str:
    shown = ", ".join(sorted(tables)[:5])
    return f"table {shown}" if len(tables) == 1 else f"{len(tables)} tables ({shown}{', …' if len(tables) > 5 else ''})"
