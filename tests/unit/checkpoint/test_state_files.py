"""A daemon's state files: what is written is read again, and what is not understood is never passed over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdcd.checkpoint.witness import StateFiles, Witness, state_folder
from cdcd.errors import CdcdError, LayoutMismatch

FORWARD = Witness("forward", "east", "west", "e:1", "w:1", '{"tables":["shop.*"]}', "0-1-100")


@pytest.fixture
def files(tmp_path):
    """Return state files in a folder that does not exist yet."""
    return StateFiles(tmp_path / "state" / "shop")


def test_a_witness_is_read_as_it_was_written(files):
    """A later position of the same link and servers takes the earlier one's place."""
    files.write(FORWARD)
    files.write(moved := replace(FORWARD, position="0-1-200"))

    assert [moved] == files.read()


def test_each_link_and_pair_of_servers_has_its_own_file(files):
    """A link that is moved to another server must not take the trace of the first along."""
    several = [
        FORWARD,
        replace(FORWARD, link="reverse"),
        replace(FORWARD, target_server="w:2"),
        replace(FORWARD, link="../a/ü\0" + "é" * 60),
    ]
    for witness in several:
        files.write(witness)

    assert sorted(several, key=repr) == sorted(files.read(), key=repr)
    assert {files.folder} == {path.parent for path in files.folder.iterdir()}


def test_an_empty_or_missing_folder_says_nothing(files):
    """The first run of a daemon has no folder."""
    assert [] == files.read()


def test_a_removed_link_leaves_the_others(files):
    """``cdcd link forget`` is about one link."""
    files.write(FORWARD)
    files.write(other := replace(FORWARD, link="reverse"))

    assert ([FORWARD], [other]) == (files.remove("forward"), files.read())


def test_a_renamed_link_keeps_its_position(files):
    """``cdcd link rename`` moves the trace, and leaves none behind."""
    files.write(FORWARD)
    renamed = replace(FORWARD, link="new")

    assert ([renamed], [renamed]) == (files.rename("forward", "new"), files.read())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"layout":1}', b'{"layout":1,"witness":{"link":"forward"}}'])
def test_a_file_that_is_not_understood_is_named(files, content):
    """Passed over, it could be the only witness of a checkpoint that is gone."""
    files.write(FORWARD)
    [path] = files.folder.iterdir()
    path.write_bytes(content)

    with pytest.raises(CdcdError, match=path.name):
        files.read()


def test_a_file_of_a_later_layout_is_refused(files):
    """An older daemon must not guess what a newer one meant."""
    files.write(FORWARD)
    [path] = files.folder.iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "layout": 99}))

    with pytest.raises(LayoutMismatch, match=path.name):
        files.read()


def test_a_file_cut_off_while_it_was_written_leaves_the_old_one(files):
    """A crash must not turn a witness into an error."""
    files.write(FORWARD)
    (files.folder / "forward.new").write_bytes(b'{"lay')

    assert [FORWARD] == files.read()


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path, monkeypatch):
    """The servers keep witnesses too; an operator is told once."""
    (tmp_path / "file").touch()
    warnings = []
    monkeypatch.setattr("cdcd.checkpoint.witness.log.warning", lambda event, **_: warnings.append(event), raising=False)
    files = StateFiles(tmp_path / "file" / "state")
    for _ in range(2):
        files.write(FORWARD)

    assert ["state_not_written"] == warnings


@pytest.mark.parametrize(
    ("environment", "root", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/cdcd/a:/var/lib/b"}, True, "/var/lib/cdcd/a"),
        ({"XDG_STATE_HOME": "/home/u/state"}, True, "/var/lib/cdcd/shop"),
        ({"XDG_STATE_HOME": "/home/u/state"}, False, "/home/u/state/cdcd/shop"),
        ({}, False, str(Path("~/.local/state/cdcd/shop").expanduser())),
    ],
)
def test_the_folder_is_systemds_or_that_of_the_account(monkeypatch, environment, root, expected):
    """A daemon finds its state again however it is started, and two files never share one."""
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000)

    assert expected == str(state_folder(Path("/etc/cdcd/shop.toml"), environment))
