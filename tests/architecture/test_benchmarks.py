"""Benchmarks run with what ``conf/install bench`` installs, which is not what the tests need."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]

IMPORT_ALL = """
import importlib, sys
sys.modules.update(dict.fromkeys({absent!r}))  # What is None there can't be imported.
from bench import suite
import bench.__main__, bench.table, conf.demo.__main__
for module in suite.MODULES.values():
    importlib.import_module(module)
"""


def test_benchmarks_and_the_demo_import_nothing_that_only_tests_need() -> None:
    """Whoever measures does not install pytest, and must not meet a ModuleNotFoundError after the installation."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    only_tests = {_name(each) for each in groups["test"]} - {_name(each) for each in groups["bench"]}
    modules = packages_distributions()
    absent = sorted(
        name for name, packages in modules.items() if only_tests & {package.lower() for package in packages}
    )
    assert "pytest" in absent
    script = IMPORT_ALL.format(absent=absent)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].lower()
