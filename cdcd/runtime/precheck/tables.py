"""Judge the tables of a link, each on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cdcd.model.table import ForeignKey, Key, Table, TableName
from cdcd.mysql import quote
from cdcd.runtime.precheck.columns import check_columns
from cdcd.runtime.precheck.problem import Problem
from cdcd.runtime.precheck.server import TableFacts

_QUIET_RULES = frozenset({"RESTRICT", "NO ACTION"})


@dataclass(frozen=True, slots=True)
class Sides:
    """One carried table as both servers have it."""

    source: Table
    target: Table
    source_facts: TableFacts
    target_facts: TableFacts
    target_name: Callable[[TableName], TableName]


def check_definitions(path: str, sides: Sides) -> Iterator[Problem]:
    """Yield where the two definitions of a table do not fit."""
    yield from check_columns(path, sides.source, sides.target, sides.target_facts.required)
    yield from _check_keys(path, sides.source, sides.target)
    yield from _check_foreign_keys(path, sides)


def check_table(path: str, sides: Sides, is_paired: bool) -> Iterator[Problem]:
    """Yield what keeps a table from being carried exactly, whether or not its definitions fit."""
    if sides.source.row_key is None:
        yield _lacks_key(path, sides.source, is_paired)
    yield from _check_engines(path, sides)
    yield from _check_kind(path, sides)


def check_missing(path: str, source: TableName, target: TableName) -> Problem:
    """Return the problem of a table that the target lacks."""
    text = f"table {'.'.join(target)} is missing on the target"
    dump = f"mariadb-dump --no-data --skip-triggers {source[0]} {source[1]}"
    return Problem.error(path, text, f"{dump}    # on the source; then run it on the target, as {'.'.join(target)}")


def check_collisions(path: str, names: Iterable[tuple[TableName, TableName]]) -> Iterator[Problem]:
    """Yield a problem for each target table that more than one source table would fill."""
    sources: dict[TableName, list[str]] = {}
    for source, target in names:
        sources.setdefault(target, []).append(".".join(source))
    for target, several in sources.items():
        if len(several) > 1:
            text = f"{' and '.join(several)} both become {'.'.join(target)} on the target"
            yield Problem.error(path, text, f"{path}.rename or {path}.exclude")


def _check_keys(path: str, source: Table, target: Table) -> Iterator[Problem]:
    if source.row_key is None:
        return
    columns = _names(source.row_key)
    if target.row_key is None or _names(target.row_key) != columns:
        found = f"({', '.join(target.row_key.columns)})" if target.row_key else "no key"
        text = (
            f"rows of {'.'.join(source.name)} are told apart by ({', '.join(source.row_key.columns)}) on the"
            f" source and by {found} on the target"
        )
        listed = ", ".join(map(quote.identifier, source.row_key.columns))
        drop = "DROP PRIMARY KEY, " if any(key.is_primary for key in target.keys) else ""
        yield Problem.error(path, text, f"ALTER TABLE {quote.table(target.name)} {drop}ADD PRIMARY KEY ({listed});")
    known = {_names(key) for key in source.keys}
    for key in target.keys:
        if not key.is_primary and _names(key) not in known:
            text = (
                f"unique key {key.name} of {'.'.join(target.name)} ({', '.join(key.columns)}) is not on the"
                " source: the target may refuse rows that the source has"
            )
            fix = f"ALTER TABLE {quote.table(target.name)} DROP INDEX {quote.identifier(key.name)};"
            yield Problem.warning(path, text, fix)


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


def _check_engines(path: str, sides: Sides) -> Iterator[Problem]:
    if not sides.target_facts.transactional:
        text = (
            f"table {'.'.join(sides.target.name)} on the target is {sides.target_facts.engine}, which can't"
            " roll back: exactly once can't be kept"
        )
        yield Problem.error(path, text, f"ALTER TABLE {quote.table(sides.target.name)} ENGINE = InnoDB;")
    if not sides.source_facts.transactional:
        text = (
            f"table {'.'.join(sides.source.name)} on the source is {sides.source_facts.engine}: a statement"
            " that fails half-way is logged as far as it got"
        )
        yield Problem.warning(path, text, f"ALTER TABLE {quote.table(sides.source.name)} ENGINE = InnoDB;")


def _check_kind(path: str, sides: Sides) -> Iterator[Problem]:
    for trigger in sides.target.triggers:
        text = (
            f"trigger {trigger} of {'.'.join(sides.target.name)} would run again on the target for rows"
            " that it has changed on the source already"
        )
        name = quote.table((sides.target.name[0], trigger))
        yield Problem.error(path, text, f"DROP TRIGGER {name};")
    for table, side in ((sides.source, "source"), (sides.target, "target")):
        if table.versioned:
            text = f"table {'.'.join(table.name)} is system-versioned on the {side}: its history is not carried"
            yield Problem.error(path, text, f"ALTER TABLE {quote.table(table.name)} DROP SYSTEM VERSIONING;")


def _names(key: Key) -> frozenset[str]:
    return frozenset(name.lower() for name in key.columns)


def _reference(key: ForeignKey, parent: TableName) -> tuple[object, ...]:
    pairs = zip(key.columns, key.parent_columns, strict=True)
    return parent, frozenset((column.lower(), other.lower()) for column, other in pairs)
