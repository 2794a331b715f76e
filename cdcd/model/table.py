"""What a table is, as a server describes it."""

from __future__ import annotations

from dataclasses import dataclass

TableName = tuple[str, str]
"""A (database, table) pair."""

SYSTEM_DATABASES = frozenset({"mysql", "sys", "information_schema", "performance_schema", "cdcd"})
"""Databases that belong to the servers, or to cdcd: never carried, and never the end of a rename."""

CHECKPOINT: TableName = ("cdcd", "checkpoint")
"""The marker: the first table of every transaction that a link writes."""
DDL: TableName = ("cdcd", "ddl")
"""Announcements of schema changes that a link is about to run."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as information_schema.COLUMNS describes it."""

    name: str
    type: str  # COLUMN_TYPE, as "varchar(20)" or "bigint(20) unsigned"
    data_type: str  # DATA_TYPE, as "varchar"
    charset: str  # "" when it holds no text
    collation: str
    nullable: bool
    generated: bool
    invisible: bool
    default: str | None = None  # COLUMN_DEFAULT, an expression; None when it has none
    expression: str = ""  # of a generated column
    extra: str = ""  # EXTRA, as "auto_increment" or "on update current_timestamp()"
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A primary or unique key: its columns in key order, each with its prefix length (0: the whole column)."""

    name: str
    columns: tuple[str, ...]
    prefixes: tuple[int, ...]
    is_hashed: bool = False  # too long for an index: the server keeps it by a hidden column of hashes

    @property
    def is_primary(self) -> bool:
        """Whether this is the primary key."""
        return self.name == "PRIMARY"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference from ``columns`` of this table to ``parent_columns`` of ``parent``."""

    name: str
    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]
    on_delete: str
    on_update: str


@dataclass(frozen=True, slots=True)
class Table:
    """A base table: columns in order, primary and unique keys, foreign keys, triggers."""

    name: TableName
    columns: tuple[Column, ...]
    keys: tuple[Key, ...]
    foreign_keys: tuple[ForeignKey, ...]
    is_parent: bool  # some foreign key refers to it
    triggers: tuple[str, ...]
    versioned: bool  # WITH SYSTEM VERSIONING
    is_transactional: bool = True  # its engine can roll back
    has_all_references: bool = True  # the account can see every foreign key that might refer to it

    def column(self, name: str) -> Column | None:
        """Return the column of that name, compared as servers do (case-insensitively), or None."""
        lowered = name.lower()
        return next((column for column in self.columns if column.name.lower() == lowered), None)

    @property
    def row_keys(self) -> tuple[Key, ...]:
        """The keys that tell rows apart, none with a NULL or a prefix, each an index: the primary key first."""
        return tuple(key for key in sorted(self.keys, key=lambda key: not key.is_primary) if self._is_total(key))

    @property
    def row_key(self) -> Key | None:
        """The first of the keys that tell rows apart."""
        return next(iter(self.row_keys), None)

    @property
    def hidden_columns(self) -> int:
        """How many columns its row images have after those that it shows: ``DB_ROW_HASH_1`` and so on."""
        return sum(key.is_hashed for key in self.keys)

    def _is_total(self, key: Key) -> bool:
        if key.is_hashed:  # No statement finds a row by it without reading the whole table.
            return False
        columns = [self.column(name) for name in key.columns]
        return all(column and not column.nullable for column in columns) and not any(key.prefixes)
