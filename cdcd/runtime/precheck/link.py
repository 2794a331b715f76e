"""Ask both servers of a link for the tables that it carries, and let the judges speak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cdcd.config.schema import Link
from cdcd.errors import AccessDenied, CdcdError, Lost, ServerError
from cdcd.model.table import TableName
from cdcd.mysql import quote
from cdcd.mysql.schema import list_tables, read_tables
from cdcd.mysql.session import Session
from cdcd.route.rules import Rules
from cdcd.runtime.precheck import grants
from cdcd.runtime.precheck.pair import check_counters, check_pair
from cdcd.runtime.precheck.problem import Problem
from cdcd.runtime.precheck.server import Server, list_sequences, read_facts
from cdcd.runtime.precheck.tables import Sides, check_collisions, check_definitions, check_missing, check_table

Connected = tuple[Session, Server]
Names = Mapping[TableName, TableName]  # a carried table's name on the source, and on the target


async def check_link(link: Link, source: Connected, target: Connected, *, is_paired: bool) -> list[Problem]:
    """Return what is wrong between the two servers of a link and with the tables that it carries."""
    path = f"links.{link.name}"
    problems = list(check_pair(path, source[1], target[1]))
    try:
        rules = Rules(link.tables, link.exclude, link.rename)
        names = {name: rules.target_name(name) for name in await list_tables(source[0]) if rules.carries(name)}
        sequences = [name for name in await list_sequences(source[0]) if rules.carries(name)]
        # Where the link goes on, its log may hold the statements that made the sides differ.
        goes_on = link.ddl and await _has_run(link, target[0])
        differences = list(_check_sequences(path, sequences))
        if names:
            problems += _check_servers(path, link, names, source[1], target[1])
            facts = await _read_sides(names, rules, source[0], target[0])
            differences += _check_differences(path, names, facts)
            problems += _check_tables(path, facts, source[1], target[1], is_paired)
        else:
            nothing = _nothing_carried(path, link, source[1])
            problems.append(nothing.mended_by_log() if link.ddl else nothing)
        problems += [problem.mended_by_log() if goes_on else problem for problem in differences]
    except CdcdError as error:
        text = f"the check could not be finished: {error}"
        problems.append(Problem.error(path, text, transient=isinstance(error, Lost)))
    return problems


async def _has_run(link: Link, target: Session) -> bool:
    """Return whether the link has a checkpoint on its target."""
    try:
        row = await target.fetch_one(f"SELECT 1 FROM cdcd.checkpoint WHERE link = {quote.text(link.name)} LIMIT 1")
    except (AccessDenied, ServerError):  # There is no such table, or the account may not read it, as `grants` says.
        return False
    return row is not None


async def _read_sides(names: Names, rules: Rules, source: Session, target: Session) -> dict[TableName, Sides | None]:
    """Return each carried table as both servers have it, None where the target lacks it."""
    wanted = frozenset(names.values())
    source_facts = await read_facts(source, names.__contains__)
    target_facts = await read_facts(target, wanted.__contains__)
    source_tables, target_tables = await read_tables(source, names), await read_tables(target, wanted)
    sides: dict[TableName, Sides | None] = {}
    for name, table in source_tables.items():
        there = names[name]
        sides[name] = None
        if there in target_tables:
            facts = source_facts[name], target_facts[there]
            sides[name] = Sides(table, target_tables[there], *facts, rules.target_name)
    return sides


def _check_differences(path: str, names: Names, tables: Mapping[TableName, Sides | None]) -> Iterator[Problem]:
    for name, sides in tables.items():
        if sides is None:
            yield check_missing(path, name, names[name])
        else:
            yield from check_definitions(path, sides)


def _check_tables(
    path: str, tables: Mapping[TableName, Sides | None], source: Server, target: Server, is_paired: bool
) -> Iterator[Problem]:
    counts_up = False
    for sides in filter(None, tables.values()):
        yield from check_table(path, sides, is_paired)
        counts_up = counts_up or sides.source_facts.counts_up
    if is_paired and counts_up:
        yield from check_counters(path, source, target)


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
        yield Problem.error(path, text, grants.statement(privileges, database, server.account))


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
