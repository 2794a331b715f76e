"""Judge a table that a pair of links carries in both directions: one finding for a difference, and one way out.

What fits one direction may not fit the other, so nothing is narrowed or dropped: the side that can hold less is
altered to hold what the other does, and a key that one side lacks is added there. Each statement names its site.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from cdcd.model.table import Column, ForeignKey, Key, Table, TableName
from cdcd.precheck.definition import FILL, add, modify
from cdcd.precheck.merged import merge
from cdcd.precheck.problem import Problem
from cdcd.route.conversion import is_as_fine, judge
from cdcd.route.keys import fineness, tells_apart
from cdcd.row.column_type import Type
from cdcd.sql import quote

_QUIET_RULES = frozenset({"RESTRICT", "NO ACTION"})


@dataclass(frozen=True, slots=True)
class Side:
    """One site's table; ``other_name`` is what the other site calls a table of this one."""

    site: str
    table: Table
    other_name: Callable[[TableName], TableName]
    allow_loss: Collection[str]  # columns of this site whose values may change on the other

    def alter(self, change: str, note: str = "") -> str:
        """Return the statement that changes this side's table."""
        return f"ALTER TABLE {quote.table(self.table.name)} {change};  -- on {self.site}{note}"

    def loses(self, column: Column, there: Column) -> bool:
        """Return whether the other side would silently keep other values than this one's, or refuse the type."""
        verdict = judge(Type.of(column), Type.of(there))
        return verdict == "refused" or (
            verdict == "lossy" and f"{'.'.join(self.table.name)}.{column.name}" not in self.allow_loss
        )

    @property
    def label(self) -> str:
        """How messages name the table."""
        return f"{'.'.join(self.table.name)} on {self.site}"


def check_both_ways(path: str, one: Side, other: Side) -> Iterator[Problem]:
    """Yield what differs between the two sides of a table, each difference once."""
    for column in one.table.columns:
        there = other.table.column(column.name)
        if there is None:
            yield from _check_missing(path, column, one, other)
        else:
            yield from _check_column(path, column, there, one, other)
    for column in other.table.columns:
        if one.table.column(column.name) is None:
            yield from _check_missing(path, column, other, one)
    yield from _check_keys(path, one, other)
    yield from _check_foreign_keys(path, one, other)


def _check_missing(path: str, column: Column, holder: Side, lacking: Side) -> Iterator[Problem]:
    if column.generated:
        return
    text = f"column {column.name} of {holder.label} is missing on {lacking.site}"
    yield Problem.error(path, text, lacking.alter(add(column, holder.table), f"; {FILL}"))


def _check_column(path: str, column: Column, there: Column, one: Side, other: Side) -> Iterator[Problem]:
    where = f"{'.'.join(one.table.name)}.{column.name}"
    if column.generated or there.generated:
        if column.generated != there.generated:
            computing, plain = (one, other) if column.generated else (other, one)
            text = f"column {where} is computed on {computing.site} and plain on {plain.site}"
            yield Problem.error(path, text, f"-- define it alike on {one.site} and {other.site}")
        return
    merged = merge(column, there)
    text = f"column {where} is {_describe(column)} on {one.site} and {_describe(there)} on {other.site}"
    loses = one.loses(column, there) or other.loses(there, column)
    make = Problem.error if loses or _merges_rows(column, there, one, other) else Problem.warning
    consequence = "which would silently keep other values" if loses else "values may not fit"
    if merged is None:
        yield make(path, f"{text}: {consequence}", f"-- give it one type on {one.site} and {other.site}")
        return
    fixes = [
        side.alter(modify(held, merged, default=held.default))
        for side, held in ((one, column), (other, there))
        if not _is_same(held, merged)
    ]
    if fixes:
        if merged.data_type in ("enum", "set"):
            make, consequence = Problem.error, "the same numbers would stand for other members"
        yield make(path, f"{text}: {consequence}", "\n".join(fixes))


def _merges_rows(column: Column, there: Column, one: Side, other: Side) -> bool:
    """Return whether one side calls values equal by which the other tells its rows apart."""
    here_type, there_type = Type.of(column), Type.of(there)
    if is_as_fine(here_type, there_type) and is_as_fine(there_type, here_type):
        return False
    named = column.name.lower()
    keys = [key for side in (one, other) for key in side.table.row_keys]
    return any(named == name.lower() for key in keys for name in key.columns) and not _tell_apart(one, other)


def _check_keys(path: str, one: Side, other: Side) -> Iterator[Problem]:
    if not one.table.row_keys and not other.table.row_keys:
        text = f"table {'.'.join(one.table.name)} has neither a primary key nor a unique key without NULLs"
        fix = f"-- ALTER TABLE {quote.table(one.table.name)} ADD PRIMARY KEY (…);  on {one.site} and {other.site}"
        yield Problem.error(path, f"{text}, so conflicts between the sites can't be told", fix)
    is_told_apart = _tell_apart(one, other)
    for holder, lacking in ((one, other), (other, one)):
        known = {_parts(key) for key in lacking.table.keys}
        has_primary = any(key.is_primary for key in lacking.table.keys)
        for key in holder.table.keys:
            if _parts(key) in known:
                continue
            needed = not is_told_apart and key == holder.table.row_key
            text = f"key {key.name} ({', '.join(key.columns)}) of {holder.label} is not on {lacking.site}" + (
                ": rows are told apart in different ways" if needed else ", which may hold rows that it refuses"
            )
            kind = "PRIMARY KEY" if key.is_primary and not has_primary else "UNIQUE KEY"
            make = Problem.error if needed else Problem.warning
            yield make(path, text, lacking.alter(f"ADD {kind} ({_listed(key)})"))


def _tell_apart(one: Side, other: Side) -> bool:
    """Return whether each side finds rows by a key that merges none of the other's (``route.plan``)."""
    return all(
        any(tells_apart(key, source.keys, fineness(source, target)) for key in target.row_keys)
        for source, target in ((one.table, other.table), (other.table, one.table))
    )


def _check_foreign_keys(path: str, one: Side, other: Side) -> Iterator[Problem]:
    ours = {_reference(key, one.other_name(key.parent)): key for key in one.table.foreign_keys}
    theirs = {_reference(key, key.parent): key for key in other.table.foreign_keys}
    for reference in {**ours, **theirs}:
        here, there = ours.get(reference), theirs.get(reference)
        if here and there:
            yield from _check_rules(path, here, there, one, other)
            continue
        key, holder, lacking = (here, one, other) if here else (there, other, one)
        assert key is not None
        text = (
            f"foreign key {key.name} of {holder.label} is not on {lacking.site}: one side refuses rows, or changes"
            " them by itself, which is in no log"
        )
        make = Problem.warning if {key.on_delete, key.on_update} <= _QUIET_RULES | {""} else Problem.error
        yield make(path, text, lacking.alter(_add_foreign_key(key, key, holder)))


def _check_rules(path: str, here: ForeignKey, there: ForeignKey, one: Side, other: Side) -> Iterator[Problem]:
    rules = [(key.on_delete, key.on_update) for key in (here, there)]
    loud = [rule for rule in rules if not set(rule) <= _QUIET_RULES]
    if rules[0] == rules[1] or ("", "") in rules or not loud:
        return
    # The rule that changes the least by itself is kept: a refused statement loses nothing.
    sides = sorted(((here, one), (there, other)), key=lambda side: (_loudness(side[0]), side[1].site))
    (kept, holder), (changed, lacking) = sides
    text = (
        f"foreign key {here.name} of {one.label} has other rules than on {other.site}: rows that it changes by"
        " itself are in no log, so the sides would drift apart"
    )
    drop = f"DROP FOREIGN KEY {quote.identifier(changed.name)}, "
    yield Problem.error(path, text, lacking.alter(drop + _add_foreign_key(changed, kept, holder, lacking)))


def _loudness(key: ForeignKey) -> tuple[int, str]:
    return sum(rule not in _QUIET_RULES for rule in (key.on_delete, key.on_update)), key.on_delete + key.on_update


def _add_foreign_key(key: ForeignKey, rules: ForeignKey, holder: Side, own: Side | None = None) -> str:
    columns, parents = (", ".join(map(quote.identifier, names)) for names in (key.columns, key.parent_columns))
    parent = key.parent if own else holder.other_name(key.parent)
    actions = "".join(
        f" ON {event} {rule}" for event, rule in (("DELETE", rules.on_delete), ("UPDATE", rules.on_update)) if rule
    )
    return f"ADD FOREIGN KEY ({columns}) REFERENCES {quote.table(parent)} ({parents}){actions}"


def _is_same(held: Column, merged: Column) -> bool:
    return (_shape(held), held.charset, held.collation, held.nullable) == (
        _shape(merged),
        merged.charset,
        merged.collation,
        merged.nullable,
    )


def _shape(column: Column) -> str:
    """Return a type without the width of a display, which is no limit."""
    if column.data_type not in ("tinyint", "smallint", "mediumint", "int", "bigint", "year"):
        return column.type
    return column.data_type + (" unsigned" if "unsigned" in column.type else "")


def _listed(key: Key) -> str:
    parts = zip(key.columns, key.prefixes, strict=True)
    return ", ".join(quote.identifier(name) + (f"({prefix})" if prefix else "") for name, prefix in parts)


def _parts(key: Key) -> frozenset[tuple[str, int]]:
    return frozenset(zip((name.lower() for name in key.columns), key.prefixes, strict=True))


def _reference(key: ForeignKey, parent: TableName) -> tuple[object, ...]:
    pairs = zip(key.columns, key.parent_columns, strict=True)
    return parent, frozenset((column.lower(), other.lower()) for column, other in pairs)


def _describe(column: Column) -> str:
    return f"{column.type} {column.collation}".strip() + ("" if column.nullable else " NOT NULL")
