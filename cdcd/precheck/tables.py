"""Judge the tables of a link, each on both sides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from cdcd.model.table import ForeignKey, Table, TableName
from cdcd.precheck.columns import check_columns
from cdcd.precheck.problem import Problem
from cdcd.precheck.server import TableFacts
from cdcd.route.keys import HINT, fineness, tells_apart
from cdcd.sql import quote

_QUIET_RULES = frozenset({"RESTRICT", "NO ACTION"})


@dataclass(frozen=True, slots=True)
class Sides:
    """One carried table as both servers have it."""

    source: Table
    target: Table
    source_facts: TableFacts
    target_facts: TableFacts
    source_site: str
    target_site: str
    target_name: Callable[[TableName], TableName]
    allow_loss: Collection[str]  # columns of the source whose values may change


def check_table(path: str, sides: Sides) -> Iterator[Problem]:
    """Yield what keeps a table from being carried by this link alone, however well its definitions fit."""
    yield from check_target(path, sides.target, sides.target_facts, sides.target_site, "the target")
    yield from _check_source(path, sides)


def check_definitions(path: str, sides: Sides, is_paired: bool) -> Iterator[Problem]:
    """Yield where the two definitions of a table do not fit, for this link alone."""
    for problem in _differences(path, sides, is_paired):
        yield problem.on(sides.target_site)


def _differences(path: str, sides: Sides, is_paired: bool) -> Iterator[Problem]:
    yield from check_columns(path, sides.source, sides.target, sides.target_facts.required, sides.allow_loss)
    yield from _check_keys(path, sides.source, sides.target, is_paired)
    yield from _check_foreign_keys(path, sides)


def check_missing(path: str, source: TableName, target: TableName, dump: str) -> Problem:
    """Return the problem of a table that the target lacks; ``dump`` is the source's program for its definition."""
    text = f"table {'.'.join(target)} is missing on the target"
    command = f"{dump} --no-data --skip-triggers {source[0]} {source[1]}"
    return Problem.error(
        path,
        text,
        f"{command}    # on the source; then run it on the target, as"
        f" {'.'.join(target)}; without --no-data where rows of before are to be there",
    )


def check_collisions(path: str, names: Iterable[tuple[TableName, TableName]]) -> Iterator[Problem]:
    """Yield a problem for each target table that more than one source table would fill."""
    sources: dict[TableName, list[str]] = {}
    for source, target in names:
        sources.setdefault(target, []).append(".".join(source))
    for target, several in sources.items():
        if len(several) > 1:
            text = f"{' and '.join(several)} both become {'.'.join(target)} on the target"
            yield Problem.error(path, text, f"{path}.rename or {path}.exclude")


def _check_keys(path: str, source: Table, target: Table, is_paired: bool) -> Iterator[Problem]:
    if source.row_key is None:
        yield _lacks_key(path, source, is_paired)
    is_fine = fineness(source, target)
    fine = [key for key in target.keys if tells_apart(key, source.keys, is_fine)]
    if source.row_key is not None and (target.row_key is None or not any(key in fine for key in target.row_keys)):
        found = f"({', '.join(target.row_key.columns)})" if target.row_key else "no key"
        text = (
            f"rows of {'.'.join(source.name)} are told apart by ({', '.join(source.row_key.columns)}) on the"
            f" source and by {found} on the target"
        )
        listed = ", ".join(map(quote.identifier, source.row_key.columns))
        drop = "DROP PRIMARY KEY, " if any(key.is_primary for key in target.keys) else ""
        yield Problem.error(path, text, f"ALTER TABLE {quote.table(target.name)} {drop}ADD PRIMARY KEY ({listed});")
        fine += [key for key in target.keys if key.is_primary]
    elif source.row_key is None and target.row_key is not None:
        text = f"the target's key ({', '.join(target.row_key.columns)}) of {'.'.join(target.name)} merges rows: {HINT}"
        yield Problem.error(path, text)
        fine.append(target.row_key)
    for key in target.keys:
        if key not in fine:
            text = (
                f"unique key {key.name} of {'.'.join(target.name)} ({', '.join(key.columns)}) does not tell apart"
                f" all rows that the source has, so the target may refuse some: {HINT}"
            )
            drop = "PRIMARY KEY" if key.is_primary else f"INDEX {quote.identifier(key.name)}"
            yield Problem.warning(path, text, f"ALTER TABLE {quote.table(target.name)} DROP {drop};")


def _lacks_key(path: str, source: Table, is_paired: bool) -> Problem:
    text = f"table {'.'.join(source.name)} has neither a primary key nor a unique key without NULLs"
    fix = f"-- ALTER TABLE {quote.table(source.name)} ADD PRIMARY KEY (…);  on both sides"
    if is_paired:
        return Problem.error(path, f"{text}, so conflicts between the sites can't be told", fix)
    return Problem.warning(path, f"{text}: it is carried by comparing whole rows, which is slow", fix)


def _check_foreign_keys(path: str, sides: Sides) -> Iterator[Problem]:
    source, target = sides.source, sides.target
    ours = {_reference(key, sides.target_name(key.parent)): key for key in source.foreign_keys}
    theirs = {_reference(key, key.parent): key for key in target.foreign_keys}
    for reference, key in theirs.items():
        if reference not in ours:
            text = (
                f"foreign key {key.name} of {'.'.join(target.name)} is not on the source: the target may"
                " refuse rows that the source has"
            )
            fix = f"ALTER TABLE {quote.table(target.name)} DROP FOREIGN KEY {quote.identifier(key.name)};"
            yield Problem.warning(path, text, fix)
    for reference, key in ours.items():
        there = theirs.get(reference)
        if there is None or (there.on_delete, there.on_update) != (key.on_delete, key.on_update):
            yield from _check_cascade(path, sides, key, there)


def _check_cascade(path: str, sides: Sides, key: ForeignKey, there: ForeignKey | None) -> Iterator[Problem]:
    """Judge a foreign key that the target lacks, or has with other rules: what it cascades is in no log."""
    rules = {key.on_delete, key.on_update}
    if rules == {""} and there is not None:
        return
    if rules <= _QUIET_RULES and (there is None or {there.on_delete, there.on_update} <= _QUIET_RULES):
        return
    text = (
        f"foreign key {key.name} of {'.'.join(sides.source.name)} is not the same on the target: rows that it"
        " changes by itself are in no log, so the sides would drift apart"
    )
    if rules == {""}:
        text += " if it cascades, which the account may not see"
        yield Problem.warning(path, text, _add_foreign_key(sides, key, there))
    else:
        yield Problem.error(path, text, _add_foreign_key(sides, key, there))


def _add_foreign_key(sides: Sides, key: ForeignKey, there: ForeignKey | None) -> str:
    columns, parent_columns = (", ".join(map(quote.identifier, names)) for names in (key.columns, key.parent_columns))
    drop = f"DROP FOREIGN KEY {quote.identifier(there.name)}, " if there else ""
    rules = "".join(
        f" ON {event} {rule}" for event, rule in (("DELETE", key.on_delete), ("UPDATE", key.on_update)) if rule
    )
    parent = quote.table(sides.target_name(key.parent))
    return (
        f"ALTER TABLE {quote.table(sides.target.name)} {drop}ADD FOREIGN KEY ({columns})"
        f" REFERENCES {parent} ({parent_columns}){rules};"
    )


def check_target(path: str, table: Table, facts: TableFacts, site: str, named: str) -> Iterator[Problem]:
    """Yield what keeps a table from being written to as the log says; ``named`` is the site's name in messages."""
    name = quote.table(table.name)
    if not facts.transactional:
        text = (
            f"table {'.'.join(table.name)} on {named} is {facts.engine}, which can't"
            " roll back: exactly once can't be kept"
        )
        yield Problem.error(path, text, f"ALTER TABLE {name} ENGINE = InnoDB;").on(site)
    for trigger in table.triggers:
        text = (
            f"trigger {trigger} of {'.'.join(table.name)} would run again on {named} for rows"
            " that it has changed where they come from already"
        )
        yield Problem.error(path, text, f"DROP TRIGGER {quote.table((table.name[0], trigger))};").on(site)
    if table.versioned:
        yield _versioned(path, table, named).on(site)


def _check_source(path: str, sides: Sides) -> Iterator[Problem]:
    table = sides.source
    if not sides.source_facts.transactional:
        text = (
            f"table {'.'.join(table.name)} on the source is {sides.source_facts.engine}: a statement"
            " that fails half-way is logged as far as it got"
        )
        fix = f"ALTER TABLE {quote.table(table.name)} ENGINE = InnoDB;"
        yield Problem.warning(path, text, fix).on(sides.source_site)
    if table.versioned:
        yield _versioned(path, table, "the source").on(sides.source_site)


def _versioned(path: str, table: Table, named: str) -> Problem:
    text = f"table {'.'.join(table.name)} is system-versioned on {named}: its history is not carried"
    return Problem.error(path, text, f"ALTER TABLE {quote.table(table.name)} DROP SYSTEM VERSIONING;")


def _reference(key: ForeignKey, parent: TableName) -> tuple[object, ...]:
    pairs = zip(key.columns, key.parent_columns, strict=True)
    return parent, frozenset((column.lower(), other.lower()) for column, other in pairs)
