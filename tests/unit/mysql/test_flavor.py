"""Which flavor answers to a server, and that its data are whole."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from cdcd.errors import UnsupportedServer
from cdcd.mysql import flavor
from cdcd.mysql.flavor import Errors, Flavor
from cdcd.mysql.flavor.mariadb import MARIADB

OTHERS = ["8.0.31", "9.7.4-0ubuntu1", "5.7.25-OceanBase seekdb-v1.4.0.0", "8.0.11-TiDB-v7.5.0", ""]
# Which fields whoever fills a template has for it.
TEMPLATES = {
    "log.position_of": {"file", "offset"},
    "log.replica_settings": {"position", "heartbeat_nanoseconds"},
    "catalog.status_value": {"name"},
    "catalog.definition": {"table"},
    "schema_changes.in_system_zone": {"query"},
}


def texts(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a flavor with the path of its field."""
    for each in fields(data):
        value, name = getattr(data, each.name), f"{path}{each.name}"
        if is_dataclass(value):
            yield from texts(value, f"{name}.")
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                yield name, text


@pytest.mark.parametrize("version", ["10.11.19-MariaDB-log", "5.5.5-10.6.1-MARIADB", "11.4.5-mariadb-ubu2404"])
def test_mariadb_answers_to_its_versions(version: str) -> None:
    """Builds write its name in their own ways, and behind what replicas of old wanted to read."""
    assert flavor.of(version) is MARIADB


@pytest.mark.parametrize("version", OTHERS)
def test_a_server_of_no_known_flavor_is_refused_with_its_version(version: str) -> None:
    """Treated as the nearest one it would be asked what it does not know, or worse, answer something else."""
    with pytest.raises(UnsupportedServer) as refused:
        flavor.of(version)

    shown = version or "an unknown version"
    assert f"the server is {shown}; only MariaDB's log can be followed so far" == refused.value.message


def test_no_answer_is_no_version() -> None:
    """A server that says nothing is not taken for any."""
    with pytest.raises(UnsupportedServer, match="an unknown version"):
        flavor.told([])


def test_a_second_flavor_is_one_more_module_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds one gives data and their place in the list, and nothing else has to know."""
    second = replace(MARIADB, name="MySQL", answers_to=re.compile(r"^[89]\.\d+\.\d+(-\d\w*)?$"))
    monkeypatch.setattr(flavor, "KNOWN", (MARIADB, second))

    assert [second, second] == [flavor.of(version) for version in OTHERS[:2]]
    assert flavor.of("10.11.19-MariaDB") is MARIADB
    with pytest.raises(UnsupportedServer, match="only MariaDB's and MySQL's log"):
        flavor.of(OTHERS[2])


@pytest.mark.parametrize("known", flavor.KNOWN, ids=lambda known: known.name)
def test_a_template_asks_for_what_it_is_given(known: Flavor) -> None:
    """A field that nobody fills would fail on the first server that is asked, not before."""
    asked: dict[str, set[str]] = {}
    for name, text in texts(known):
        used = {field for _, field, _, _ in string.Formatter().parse(text) if field}
        if used:
            asked.setdefault(name, set()).update(used)

    assert asked == TEMPLATES


@pytest.mark.parametrize("known", flavor.KNOWN, ids=lambda known: known.name)
def test_a_flavor_keeps_what_the_family_means(known: Flavor) -> None:
    """It adds numbers of its own; one that it leaves out would be taken for a refusal that is final."""
    for each in fields(Errors):
        assert getattr(Errors(), each.name) <= getattr(known.errors, each.name), each.name
        assert getattr(known.errors, each.name) <= getattr(flavor.ANY_ERRORS, each.name), each.name


@pytest.mark.parametrize("known", flavor.KNOWN, ids=lambda known: known.name)
def test_writers_store_what_they_are_given(known: Flavor) -> None:
    """A zero in an AUTO_INCREMENT column, bytes and times must arrive as they are."""
    settings = " ".join(known.writer_settings)

    assert "NO_AUTO_VALUE_ON_ZERO" in settings
    assert "SET NAMES binary" in settings
    assert "time_zone = '+00:00'" in settings
