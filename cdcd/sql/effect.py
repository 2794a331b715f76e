"""What a schema change does to the rows that are there, as far as its text tells.

Two servers that run one statement must end with the same rows. Which words may follow ALTER TABLE is in
sql/sql_yacc.yy of MariaDB; whatever is not known here counts as what needs the most care.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cdcd.sql.tokens import Token


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Options and clauses of ALTER TABLE that leave every row as it is.
_KEEPING = _words(
    "ADD ALTER ALGORITHM AUTO_INCREMENT AVG_ROW_LENGTH CHARACTER CHARSET CHECKSUM COLLATE COMMENT DEFAULT"
    " DELAY_KEY_WRITE DISABLE ENABLE ENGINE FORCE KEY_BLOCK_SIZE LOCK MAX_ROWS MIN_ROWS NOWAIT PACK_KEYS"
    " PAGE_COMPRESSED PAGE_COMPRESSION_LEVEL ROW_FORMAT STATS_AUTO_RECALC STATS_PERSISTENT STATS_SAMPLE_PAGES"
    " WAIT"
)
_KEPT_VERBS = frozenset({"CREATE TABLE", "CREATE INDEX", "DROP INDEX", "CREATE DATABASE", "ALTER DATABASE"})
_INDEX_NOUNS = frozenset({"INDEX", "KEY", "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK"})
_ADDED_KEYS = _INDEX_NOUNS | {"UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "PARTITION"}
# Functions of a default that give the same value on both sides: of their arguments, or of the statement's time.
_TIME = _words(
    "NOW CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP CURDATE CURRENT_DATE CURTIME CURRENT_TIME UTC_DATE UTC_TIME"
    " UTC_TIMESTAMP UNIX_TIMESTAMP"
)
_PURE = _words(
    "ABS ADDDATE ADDTIME CAST CEIL CEILING CHAR CHAR_LENGTH COALESCE CONCAT CONCAT_WS CONV CONVERT CRC32 DATE"
    " DATE_ADD DATE_FORMAT DATE_SUB DATEDIFF DAY DAYOFMONTH DAYOFWEEK DAYOFYEAR ELT FIELD FLOOR FORMAT FROM_UNIXTIME"
    " GREATEST HEX HOUR IF IFNULL IN INSTR INTERVAL JSON_ARRAY JSON_OBJECT LAST_DAY LCASE LEAST LEFT LENGTH LOCATE"
    " LOWER LPAD LTRIM MAKEDATE MD5 MICROSECOND MID MINUTE MOD MONTH NULLIF POSITION POW POWER QUARTER REPEAT REPLACE"
    " REVERSE RIGHT ROUND RPAD RTRIM SECOND SHA SHA1 SHA2 SIGN SPACE STR_TO_DATE SUBDATE SUBSTR SUBSTRING"
    " SUBSTRING_INDEX SUBTIME TIME TIME_FORMAT TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF TO_DAYS TRIM TRUNCATE UCASE UNHEX"
    " UPPER WEEKDAY YEAR AND OR NOT XOR DIV"
)
_TEMPORAL = _TIME | {"TIMESTAMP", "DATETIME", "DATE", "TIME", "FROM_UNIXTIME"}
_CONSTANT = _words("NULL TRUE FALSE INTERVAL AND OR NOT XOR DIV MOD SECOND MINUTE HOUR DAY WEEK MONTH YEAR")
# The settings of the session say how many digits its result has, and no event carries them.
_DIVISION = "a division"
# Functions that take no parentheses, and are of the session or the server.
_BARE = frozenset({"CURRENT_USER", "CURRENT_ROLE", "SYSDATE", "NEXT", "PREVIOUS"})


@dataclass(frozen=True, slots=True)
class Effect:
    """What running a statement does to rows.

    ``keeps_rows``: rows that arrive after it end as those that it met. ``renews``: the tables are made anew, though
    their definitions may stay the same. ``hides``: rows change, and nothing but they may tell. ``unequal``: what in
    the text has a value of its own on each server. ``numbers``: what becomes of a row depends on the order in which the
    server reads them. ``orders``: it says which order. ``temporal``: it speaks of times. ``binds``: it makes foreign
    keys, and ``unbinds``: it may remove some, which its text does not tell the other tables of. ``columns``: in lower
    case and among other words, those whose values it may change. ``converts``: it changes the charset of every text.
    """

    keeps_rows: bool
    renews: bool = False
    hides: bool = False
    unequal: str = ""
    numbers: bool = False
    orders: bool = False
    temporal: bool = False
    binds: bool = False
    unbinds: bool = False
    columns: frozenset[str] = frozenset()
    converts: bool = False


UNKNOWN = Effect(keeps_rows=False)


def effect(verb: str, tokens: Sequence[Token], after_name: int) -> Effect:
    """Return what a statement does; ``after_name`` is where the first name ends, in the text."""
    words = {token.keyword for token in tokens}
    head = [token.keyword for token in tokens if token.end <= after_name]
    if verb != "ALTER TABLE":
        replaces = verb == "CREATE TABLE" and "REPLACE" in head
        renews = replaces or verb in ("TRUNCATE TABLE", "RENAME TABLE")
        return Effect(verb in _KEPT_VERBS and not replaces, renews=renews)
    parts = [part for part in _parts([token for token in tokens if token.start >= after_name]) if part]
    kinds = [_kind(part) for part in parts]
    added = [part for part, kind in zip(parts, kinds, strict=True) if kind == "add column"]
    kept = all(kind in ("keep", "add column") for kind in kinds) and not any(map(_fills_by_row, added))
    binds = "REFERENCES" in words
    unbinds = any(_word(part, 0) == "DROP" and _word(part, 1) in ("FOREIGN", "CONSTRAINT") for part in parts)
    ignores = "IGNORE" in head  # Of rows that are the same under a new unique key, the first one stays.
    return Effect(
        keeps_rows=kept and not (ignores or binds or unbinds),
        renews="PARTITION" in words,
        hides=_hides(parts, kinds),
        unequal=next((found for part in added if (found := _unequal(part))), ""),
        numbers=ignores or any(_numbers(part) for part, kind in zip(parts, kinds, strict=True) if kind != "keep"),
        orders="ORDER" in (_word(part, 0) for part in parts),
        temporal=bool(words & _TEMPORAL),
        binds=binds,
        unbinds=unbinds,
        columns=_touched(parts, kinds),
        converts="CONVERT" in (_word(part, 0) for part in parts),
    )


def _parts(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Split the clauses of ALTER TABLE at the commas between them."""
    depth, part = 0, list[Token]()
    for token in tokens:
        depth += token.is_operator("(") - token.is_operator(")")
        if depth == 0 and token.is_operator(","):
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _word(part: Sequence[Token], at: int) -> str:
    return part[at].keyword if at < len(part) else ""


def _kind(part: list[Token]) -> str:
    """Name a clause, after the waiting time that may come before the first one."""
    while _word(part, 0) in ("WAIT", "NOWAIT"):
        del part[: 2 if _word(part, 0) == "WAIT" else 1]
    first, second = _word(part, 0), _word(part, 1)
    if first == "ADD" and second not in _ADDED_KEYS:
        return "other" if second in ("SYSTEM", "PERIOD") else "add column"
    if first in ("DROP", "RENAME") and second in _INDEX_NOUNS:
        return "keep"
    if first == "RENAME":
        return "rename column" if second == "COLUMN" else "other"
    if first == "DROP":
        return "other" if second in ("PARTITION", "SYSTEM", "PERIOD") else "drop column"
    if first == "CHANGE":
        return "change"
    return "keep" if first in _KEEPING or not part else "other"


def _hides(parts: Sequence[Sequence[Token]], kinds: Sequence[str]) -> bool:
    """Return whether a column's name goes and comes in one statement, which may leave the definition as it was."""
    gone, come = set[str](), set[str]()
    for part, kind in zip(parts, kinds, strict=True):
        names = [token.value.lower() for token in part[1:] if token.keyword not in ("COLUMN", "IF", "NOT", "EXISTS")]
        if kind == "drop column":
            gone.add(names[0])
        elif kind == "add column":
            come.update(names if part[-1].is_operator(")") else names[:1])
        elif kind in ("change", "rename column"):
            old, new = names[0], names[2 if names[1] == "to" else 1]
            gone |= {old} - {new}
            come |= {new} - {old}
    return bool(gone & come)


def _touched(parts: Sequence[Sequence[Token]], kinds: Sequence[str]) -> frozenset[str]:
    """Return the words before AFTER of every clause about columns; a constant default of ALTER COLUMN is none."""
    found = set[str]()
    for part, kind in zip(parts, kinds, strict=True):
        if kind != "keep":
            end = next((at for at, token in enumerate(part) if token.keyword == "AFTER"), len(part))
            found |= {token.value.lower() for token in part[:end] if token.is_identifier}
    return frozenset(found)


def _fills_by_row(part: Sequence[Token]) -> bool:
    """Return whether a row that comes or changes later would get another value in the new column."""
    words = {token.keyword for token in part}
    # Of several columns in brackets, another's default says nothing of a TIMESTAMP's own.
    implicit = "TIMESTAMP" in words and ("DEFAULT" not in words or part[-1].is_operator(")"))
    by_time = implicit or bool(words & _TIME)
    return by_time or "AUTO_INCREMENT" in words or bool(_unequal(part)) or any(map(_names_column, _defaults(part)))


def _numbers(part: Sequence[Token]) -> bool:
    return any(token.keyword == "AUTO_INCREMENT" for token in part)


def _unequal(part: Sequence[Token]) -> str:
    """Return the first thing in a new column's text whose value is not known to be the same on both sides."""
    if any(token.is_operator("/") for token in part):
        return _DIVISION
    for default in _defaults(part):
        for at, token in enumerate(default):
            if token.is_operator("@"):
                return "a variable"
            if (_calls(default, at) and token.value.upper() not in _TIME | _PURE) or token.keyword in _BARE:
                return token.value.upper()
    return ""


def _names_column(default: Sequence[Token]) -> bool:
    """Return whether a default may depend on other columns: any word counts that is known as nothing else."""
    return any(
        token.is_identifier
        and not _calls(default, at)
        and token.keyword not in _CONSTANT | _TIME
        and not (default[at + 1 :] and default[at + 1].kind in ("string", "hex"))
        for at, token in enumerate(default)
    )


def _calls(tokens: Sequence[Token], at: int) -> bool:
    return tokens[at].is_identifier and at + 1 < len(tokens) and tokens[at + 1].is_operator("(")


def _defaults(part: Sequence[Token]) -> Iterator[Sequence[Token]]:
    for at, token in enumerate(part):
        if token.keyword == "DEFAULT":
            yield part[at + 1 : _end_of_default(part, at + 1)]


def _end_of_default(part: Sequence[Token], start: int) -> int:
    depth = 0
    for at in range(start, len(part)):
        token = part[at]
        depth += token.is_operator("(") - token.is_operator(")")
        goes_on = _calls(part, at) or (token.kind == "operator" and token.value in "+-") or token.value.startswith("_")
        if depth < 0 or (depth == 0 and not goes_on):
            return at + 1
    return len(part)
