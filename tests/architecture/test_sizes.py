"""Files and functions stay small enough to be read at once, and names say what a thing is for."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "cdcd"
PYTHON = sorted(PACKAGE.rglob("*.py"))
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"}


def function_sizes(path: Path) -> dict[str, int]:
    """Return how many lines each function of a file takes."""
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for node in functions
        if node.end_lineno
    }


def test_no_file_is_long() -> None:
    """A file that outgrows this does more than one thing."""
    sources = [*PYTHON, *PACKAGE.rglob("*.pyx")]
    sizes = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in sources}

    assert {} == {name: lines for name, lines in sizes.items() if lines > FILE_LINES_MAX}


def test_no_function_is_long() -> None:
    """A function that outgrows this cannot be understood in one look."""
    sizes = {name: lines for path in PYTHON for name, lines in function_sizes(path).items()}

    assert len(sizes) > len(PYTHON), "the functions were not found"
    assert {} == {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES_MAX}


def test_every_module_says_what_it_is_for() -> None:
    """A name such as utils takes anything in, and so says nothing."""
    modules = [*PYTHON, *PACKAGE.rglob("*.pyx")]

    assert [] == [
        str(path.relative_to(PACKAGE))
        for path in modules
        if EMPTY_NAMES.intersection(path.relative_to(PACKAGE).with_suffix("").parts)
    ]
