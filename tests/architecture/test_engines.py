"""Only a flavor and the decoder of a log know which engine they speak to."""

from __future__ import annotations

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "cdcd"
AT_HOME = ("mysql/flavor/", "binlog/")  # the two folders whose job it is
SOURCES = sorted(
    path
    for pattern in ("*.py", "*.pyx", "*.pxd")
    for path in PACKAGE.rglob(pattern)
    if not str(path.relative_to(PACKAGE)).startswith(AT_HOME)
)
ENGINE = re.compile(r"mariadb|mysql|oceanbase|tidb|percona|seekdb", re.IGNORECASE)
# What bears the family's first name and is no engine.
FAMILY = re.compile(
    r"cdcd\.mysql\b[\w.]*"  # our folder for the family's protocol
    r"|\bMySQLError\b|\basyncmy\b|\baiomysql\b"  # the drivers'
    r"|MySQL-protocol"  # what cdcd says that it is for
    r"|\bmysql_(native|clear)_password\b|mysql500"  # names of plug-ins and collations that all of them have
    r"|before MySQL 5\.\d"  # formats of the time when there was one engine
)
# The servers' own database, the folder itself, and the module in ``from cdcd import mysql``.
WORDS = {"mysql"}
# What only one engine has: a statement, a variable, a privilege or a table of it.
ITS_OWN = re.compile(
    r"SET STATEMENT|gtid_binlog_|BINLOG_GTID_POS|innodb_sys_|information_schema\.global_status|MASTER STATUS"
    r"|server_uid|tx_isolation|old_mode|gtid_slave_pos|slave_exec_mode|binlog_annotate|BINLOG (ADMIN|MONITOR|REPLAY)"
    r"|max_statement_time|sql_if_exists|gtid_strict_mode|full_collation_name|@mariadb_|slave_connect_state",
    re.IGNORECASE,
)


def _documentation(tree: ast.AST) -> set[int]:
    """Return the nodes that are texts by themselves: docstrings, also those of names."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def of_python(source: str) -> Iterator[tuple[int, str]]:
    """Yield every name and every text of a module that is no documentation, each with its line."""
    tree = ast.parse(source)
    documentation = _documentation(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in documentation:
            yield line, node.value if isinstance(node.value, str) else node.value.decode("latin1")
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            if isinstance(name := getattr(node, field, None), str):
                yield line, name


def of_cython(source: str) -> Iterator[tuple[int, str]]:
    """Yield every token of a compiled module that is neither a comment nor a text on lines of its own."""
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT):
            begins = begins or token.type == tokenize.NEWLINE
            continue
        if not (token.type == tokenize.STRING and begins):
            yield token.start[0], token.string
        begins = False


def said(path: Path) -> list[tuple[int, str]]:
    """Return what a module's code says, without its documentation."""
    return list((of_python if path.suffix == ".py" else of_cython)(path.read_text()))


def names_engine(text: str) -> bool:
    """Return whether a text names an engine."""
    return text not in WORDS and ENGINE.search(FAMILY.sub("", text)) is not None


def found(path: Path) -> list[str]:
    """Return the places of a module that are one engine's."""
    name = path.relative_to(PACKAGE)
    return [f"{name}:{line} {text[:60]!r}" for line, text in said(path) if names_engine(text) or ITS_OWN.search(text)]


def test_no_module_outside_of_flavors_names_an_engine() -> None:
    """An ``if mariadb`` anywhere is one to find and to double for every engine that comes."""
    assert [] == [place for path in SOURCES for place in found(path)]


def test_the_modules_are_found() -> None:
    """Nothing is wrong with no files, and each kind of file is read in its own way."""
    assert {".py", ".pyx", ".pxd"} == {path.suffix for path in SOURCES}
    assert all(said(path) for path in SOURCES if path.suffix == ".pyx")


@pytest.mark.parametrize("read", [of_python, of_cython])
@pytest.mark.parametrize(
    ("source", "is_engine"),
    [
        ("x = 'mariadb-dump'", True),
        ("is_mariadb = 1", True),
        ("x = b'10.6.0-MariaDB'", True),
        ("if flavor.name == 'MySQL':\n    pass", True),
        ('"""Layout: MariaDB."""\n\ndef f():\n    """As MariaDB does."""\n    return 1  # MySQL too', False),
        ("from cdcd.mysql.session import Session", False),
        ("x = 'IDENTIFIED VIA mysql_native_password'", False),
    ],
)
def test_an_engine_is_told_from_the_family(read, source: str, is_engine: bool) -> None:
    """A test that sees nothing would hold nothing."""
    assert is_engine == any(names_engine(text) for _, text in read(source))


# What a transaction's identity is made of differs from engine to engine: others compare and print it.
KNOWS_POSITIONS = ("model/", "binlog/", "source/", "checkpoint/")
PARTS_OF_GTIDS = {"domain", "sequence"}


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if not str(path.relative_to(PACKAGE)).startswith(KNOWS_POSITIONS)],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_positions_are_opaque_to_those_who_only_carry_them(path: Path) -> None:
    """Another engine's have other parts."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    found = [
        this.start[0] for dot, this in itertools.pairwise(tokens) if dot.string == "." and this.string in PARTS_OF_GTIDS
    ]
    assert not found
