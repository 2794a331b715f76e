"""Texts that are no positions are refused, not guessed."""

from __future__ import annotations

import pytest

from cdcd.model.position import Gtid, Position, pack, unpack


@pytest.mark.parametrize("text", ["", "0-1", "0-1-x", "0-1-2-3", "-1-2", "0 1 2", "mysql-bin.000001:4"])
def test_what_is_no_gtid_is_refused(text: str) -> None:
    """A mistyped start position must not begin somewhere else."""
    with pytest.raises(ValueError, match="not a GTID"):
        Gtid.parse(text)


def test_an_empty_text_is_the_beginning_of_the_log() -> None:
    """A server that has logged nothing yet says so with an empty text."""
    assert Position() == Position.parse("")
    assert [] == list(Position.parse(" "))


def test_positions_take_the_servers_spacing() -> None:
    """gtid_slave_pos is typed by people, with blanks after commas."""
    assert [Gtid(0, 1, 5), Gtid(2, 1, 9)] == list(Position.parse("2-1-9, 0-1-5"))


def test_packed_sets_have_a_fixed_form() -> None:
    """Sets written by an earlier version must still be read."""
    gtids = {Gtid(0, 1, n) for n in (5, 6, 7, 8, 17)} | {Gtid(0, 2, 7)}
    assert b"0-1:5+3,9;0-2:7" == pack(gtids)
    assert gtids == unpack(b"0-1:5+3,9;0-2:7")
    assert set() == unpack(b"")


@pytest.mark.parametrize("packed", [b"x", b"0-1", b"0:5", b"0-1:", b"0-1:5+", b"\xff", b"0-1:a"])
def test_what_is_no_packed_set_is_refused(packed: bytes) -> None:
    """A damaged set must stop the link: read as smaller, it would apply transactions twice."""
    with pytest.raises(ValueError):  # noqa: PT011 - int() words it
        unpack(packed)
