"""A command in README.md is one that a test has run."""

from __future__ import annotations

import re

import pytest

from tests.fixtures.readme import ROOT, commands

CLEAN_CLONE = "tests/system/test_readme.py"
PROVEN_BY = {
    r"bash conf/demo/run( --seconds \d+)?": "tests/system/test_demo.py",
    r"bash tests/run( -k NAME)?": CLEAN_CLONE,
    r"bash conf/install( bench)?": CLEAN_CLONE,
    r"\.venv/bin/python -m bench(\.table)?": CLEAN_CLONE,
    r"python3 -m venv /opt/cdcd": CLEAN_CLONE,
    r"/opt/cdcd/bin/pip install \.": CLEAN_CLONE,
    r"cdcd check( -c \S+)?": "tests/integration/test_check.py",
    r"cdcd run +-c \S+": "tests/system/test_stopping.py",
    r"cdcd status( -c FILE)?( \[--json\])?": "tests/integration/test_status.py",
    r"cdcd verify( -c FILE --link NAME)?( \[--json\])?": "tests/integration/verify",
    r"cdcd position( -c FILE --site NAME)?": "tests/integration/test_position.py",
    r"cdcd position (show|set)( --link NAME)?( POSITION)?( \[--dry-run\])?": "tests/system/test_ways_out.py",
    r"cdcd skip( --link NAME --gtid G)?": "tests/system/test_skip.py",
    r"cdcd link (rename|forget)( --link (NAME|OLD NEW))?": "tests/system/test_ways_out.py",
    r"systemctl (reload|stop) cdcd@shop": "tests/system/test_stopping.py",
    r"systemctl (enable --now|edit) cdcd@shop": "tests/integration/test_systemd.py",
    r"systemd-analyze security": "tests/integration/test_systemd.py",
    r"journalctl -u cdcd@shop -o cat": "tests/unit/observe/test_logs.py",
}


def test_there_are_commands_in_the_readme() -> None:
    """A pattern that finds nothing would prove everything."""
    assert {"cdcd check -c /etc/cdcd/shop.toml", "bash conf/install bench"} <= set(commands())


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_readme_has_a_test(command: str) -> None:
    """Whoever types what stands there must not be the first. Name here what runs a new one."""
    found = [where for pattern, where in PROVEN_BY.items() if re.fullmatch(pattern, command)]
    assert found, f"README.md says `{command}`, and no test is known to run it"
    assert all((ROOT / where).exists() for where in found)
