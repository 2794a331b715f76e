"""Every error says what to do about it, and every command that it names is one that there is."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdcd import errors
from cdcd.cli.main import _parser
from cdcd.errors import CdcdError, OnError

PACKAGE = Path(errors.__file__).parent
COMMAND = re.compile(r"`cdcd ([^`]+)`")
# Their messages are lists of what is wrong, each with what would be right; or nothing but a name for others.
SAY_IT_THEMSELVES = {"CdcdError", "ConfigError", "NotComparable"}


def texts() -> Iterator[str]:
    """Yield every text of the package's sources, with a word for each value that is put into it."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for path in PACKAGE.rglob("*.pyx"):
        yield path.read_text()


def all_errors(of: type[CdcdError] = CdcdError) -> Iterator[type[CdcdError]]:
    """Yield every class of the tree."""
    yield of
    for each in of.__subclasses__():
        yield from all_errors(each)


def test_every_error_that_stops_a_link_says_what_to_do() -> None:
    """An operator at night has nothing but this line."""
    silent = {each.__name__ for each in all_errors() if each.on_error is OnError.STOP and not each.hint}
    assert silent <= SAY_IT_THEMSELVES


def test_every_command_that_a_text_names_can_be_given() -> None:
    """A way out that does not exist is worse than none."""
    named = {command for text in texts() for command in COMMAND.findall(text)}
    assert len(named) > 5
    for command in sorted(named):
        words = shlex.split(command)
        try:
            _parser().parse_args(
                words if len(words) > 1 else [*words, "--help"]
            )  # A word alone is a manner of speaking.
        except SystemExit as end:
            if end.code:
                pytest.fail(f"there is no command cdcd {command}")


def test_no_text_promises_what_cannot_be_done() -> None:
    """A link is put behind a transaction by a command, not by wishing."""
    for text in texts():
        assert not re.search(r"(must be started|start the link) after (this|it)|skip it on this link", text)
