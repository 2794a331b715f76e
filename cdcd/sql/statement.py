"""The grammar of schema changes, as far as names go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cdcd.model.table import TableName
from cdcd.sql.cursor import Cursor, Reference, Role, UnknownStatement
from cdcd.sql.effect import UNKNOWN, Effect, effect

StatementKind = Literal["table", "database", "other", "dml", "unknown"]

_DML = frozenset(
    {
        "INSERT",
        "UPDATE",
        "DELETE",
        "REPLACE",
        "LOAD",
        "CALL",
        "DO",
        "SELECT",
        "WITH",
        "HANDLER",
        "VALUES",
        "TABLE",
    }
)
_SERVER = frozenset({"GRANT", "REVOKE", "FLUSH", "SET", "INSTALL", "UNINSTALL"})
_MAINTENANCE = frozenset({"ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM"})
_MODIFIERS = frozenset(
    {
        "TEMPORARY",
        "ONLINE",
        "OFFLINE",
        "IGNORE",
        "UNIQUE",
        "FULLTEXT",
        "SPATIAL",
        "VECTOR",
        "AGGREGATE",
        "UNDO",
    }
)
_NAMED = frozenset({"VIEW", "SEQUENCE", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"})
_SERVER_OBJECTS = frozenset(
    {"USER", "ROLE", "SERVER", "TABLESPACE", "LOGFILE", "RESOURCE", "INSTANCE", "PREPARE", "LIBRARY"}
)
_DATABASE_OPTIONS = frozenset(
    {"CHARACTER", "CHARSET", "DEFAULT", "COLLATE", "UPGRADE", "COMMENT", "ENCRYPTION", "READ"}
)
_SEQUENCE_FUNCTIONS = frozenset({"NEXTVAL", "LASTVAL", "SETVAL"})


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What a statement changes; a database as a whole is the name ``(database, "")``."""

    verb: str  # as "ALTER TABLE"
    kind: StatementKind
    references: tuple[Reference, ...] = ()
    temporary: bool = False
    effect: Effect = UNKNOWN

    @property
    def objects(self) -> tuple[TableName, ...]:
        """What is created, changed or dropped, in the order of the text."""
        return self._named("object")

    @property
    def reads(self) -> tuple[TableName, ...]:
        """What must exist under the same definition for the statement to mean the same."""
        return self._named("read")

    @property
    def parents(self) -> tuple[TableName, ...]:
        """The tables that foreign keys of the statement refer to."""
        return self._named("parent")

    def _named(self, role: Role) -> tuple[TableName, ...]:
        return tuple(reference.name for reference in self.references if reference.role == role)


class Reader(Cursor):
    """Walks a statement once. Raises UnknownStatement where the text leaves the grammar."""

    def read(self) -> SchemaChange:
        """Return what the statement changes."""
        if self._accept("SET", "STATEMENT"):
            self._skip_to("FOR")
        first = self._take_keyword()
        match first:
            case "CREATE" | "DROP" | "ALTER":
                return self._schema_object(first)
            case "RENAME":
                return self._rename()
            case "TRUNCATE":
                self._accept("TABLE")
                self._name("object")
                return self._change("TRUNCATE TABLE", "table")
            case _ if first in _MAINTENANCE:
                return self._maintenance(first)
            case _ if first in _SERVER:
                return self._change(first, "other")
            case _ if first in _DML or self._at_operator("(", -1):
                return self._change(first or "SELECT", "dml")
        raise UnknownStatement

    def _schema_object(self, action: str) -> SchemaChange:
        temporary = self._skip_modifiers()
        noun = self._take_keyword()
        noun = {"SCHEMA": "DATABASE", "TABLES": "TABLE"}.get(noun, noun)
        verb = f"{action} {noun}"
        if noun in _SERVER_OBJECTS or noun == "REFERENCE":
            return self._change(verb, "other")
        if noun == "PACKAGE":
            self._accept("BODY")
        self._skip_existence()
        match noun:
            case "TABLE":
                return self._table(action, temporary)
            case "DATABASE":
                return self._database_change(verb)
            case "INDEX" | "TRIGGER" if action == "CREATE" or noun == "INDEX":
                self._skip_to("ON")
                self._name("object")
                return self._change(verb, "table" if noun == "INDEX" else "other")
            case _ if noun in _NAMED or noun == "TRIGGER":
                self._names("object")
                return self._change(verb, "other")
        raise UnknownStatement

    def _table(self, action: str, temporary: bool) -> SchemaChange:
        kind: StatementKind = "table"
        if action == "DROP":
            self._names("object")
        else:
            self._name("object")
            if action == "ALTER":
                self._alterations()
            elif self._definition():
                kind = "dml"
        return self._change(f"{action} TABLE", kind, temporary)

    def _definition(self) -> bool:
        """Read what CREATE TABLE says after the name; return whether a query fills the table."""
        if self._accept("LIKE"):
            self._name("read")
        elif self._at_operator("(") and self._keyword(1) == "LIKE":
            self._next += 2
            self._name("read")
        queries = False
        while self._next < len(self._tokens):
            word = self._keyword()
            queries = queries or word in ("SELECT", "TABLE") or (word == "VALUES" and self._at_operator("(", 1))
            if not self._definition_name(word):
                self._next += 1
        return queries

    def _alterations(self) -> None:
        depth = 0
        while self._next < len(self._tokens):
            word = self._keyword()
            depth += self._at_operator("(") - self._at_operator(")")
            if word == "RENAME" and depth == 0:
                self._rename_to()
            elif word == "TABLE":  # EXCHANGE PARTITION … WITH TABLE, CONVERT PARTITION … TO TABLE, CONVERT TABLE
                self._next += 1
                self._name("object")
            elif not self._definition_name(word):
                self._next += 1

    def _rename_to(self) -> None:
        self._next += 1
        if self._keyword() in ("COLUMN", "INDEX", "KEY"):
            return
        if self._keyword() in ("TO", "AS") or self._at_operator("="):
            self._next += 1
        self._name("object")

    def _definition_name(self, word: str) -> bool:
        """Read a name that may stand anywhere in a table's definition; return whether there was one."""
        if word == "REFERENCES":
            self._next += 1
            self._name("parent")
        elif word == "UNION" and (self._at_operator("=", 1) or self._at_operator("(", 1)):
            self._next += 2 if self._at_operator("(", 1) else 3
            self._names("read")
        elif word in _SEQUENCE_FUNCTIONS and self._at_operator("(", 1):
            self._next += 2
            self._name("read")
        elif word in ("NEXT", "PREVIOUS") and [self._keyword(1), self._keyword(2)] == ["VALUE", "FOR"]:
            self._next += 3
            self._name("read")
        else:
            return False
        return True

    def _database_change(self, verb: str) -> SchemaChange:
        token = self._peek()
        if verb == "ALTER DATABASE" and token and token.keyword in _DATABASE_OPTIONS:
            self._references.append(Reference((self._database, ""), "object", ()))
        else:
            name = self._identifier()
            self._references.append(Reference((name.value, ""), "object", ((name.start, name.end),)))
        return self._change(verb, "database")

    def _rename(self) -> SchemaChange:
        noun = self._take_keyword()
        if noun == "USER":
            return self._change("RENAME USER", "other")
        if noun not in ("TABLE", "TABLES"):
            raise UnknownStatement
        self._skip_existence()
        while True:
            self._name("object")
            self._skip_to("TO")
            self._name("object")
            if not self._at_operator(","):
                return self._change("RENAME TABLE", "table")
            self._next += 1

    def _maintenance(self, action: str) -> SchemaChange:
        if self._keyword() in ("NO_WRITE_TO_BINLOG", "LOCAL"):
            self._next += 1
        if self._take_keyword() not in ("TABLE", "TABLES"):
            raise UnknownStatement
        self._names("object")
        return self._change(f"{action} TABLE", "other")

    def _skip_modifiers(self) -> bool:
        """Skip what stands between CREATE, ALTER or DROP and the noun; return whether it says TEMPORARY."""
        temporary = False
        while True:
            word = self._keyword()
            if word in _MODIFIERS:
                temporary = temporary or word == "TEMPORARY"
                self._next += 1
            elif word == "DEFINER":
                self._skip_definer()
            elif word == "ALGORITHM":
                self._next += 3
            elif self._accept("SQL", "SECURITY"):
                self._next += 1
            elif not self._accept("OR", "REPLACE"):
                return temporary

    def _skip_definer(self) -> None:
        """Skip ``DEFINER = user@host``, ``= user`` or ``= CURRENT_USER()``."""
        self._next += 3
        if self._at_operator("@") or self._at_operator("("):
            self._next += 2

    def _change(self, verb: str, kind: StatementKind, temporary: bool = False) -> SchemaChange:
        references = tuple(self._references)
        spans = references[0].spans if references else ()
        found = effect(verb, self._tokens, spans[-1][1] if spans else 0)
        return SchemaChange(verb, kind, references, temporary, found)
