"""Positions and packed sets come back as they went out: a link resumes from nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cdcd.model.position import Gtid, Position, pack, unpack

identities = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1))
gtids = st.builds(Gtid, st.integers(0, 3), st.integers(1, 3), st.integers(1, 60) | st.integers(1, 2**64 - 1))


@given(gtids=st.sets(gtids))
def test_a_packed_set_unpacks_to_itself(gtids: set[Gtid]) -> None:
    """After a crash, the packed set alone says what must not be applied again."""
    assert gtids == unpack(pack(gtids))


@given(gtids=st.lists(gtids))
def test_packing_does_not_depend_on_order_or_repetition(gtids: list[Gtid]) -> None:
    """A set is a set, however its transactions were met."""
    assert pack(sorted(set(gtids))) == pack([*gtids, *reversed(gtids)])


@given(first=st.integers(1, 2**63), count=st.integers(1, 5000))
def test_a_run_packs_small(first: int, count: int) -> None:
    """The set of a large batch travels in every marker, so neighbours must cost nothing."""
    packed = pack(Gtid(0, 1, first + i) for i in range(count))
    assert len(packed) < 40
    assert count == len(unpack(packed))


@given(gtids=st.lists(gtids))
def test_a_position_reads_back_from_its_text(gtids: list[Gtid]) -> None:
    """The text is what the checkpoint, the servers and ``start`` hold."""
    position = Position(gtids)
    assert position == Position.parse(str(position))
    assert hash(position) == hash(Position.parse(str(position)))


@given(before=st.lists(gtids), moved=st.lists(gtids))
def test_a_position_holds_the_last_of_each_domain(before: list[Gtid], moved: list[Gtid]) -> None:
    """Domains advance on their own; within one, the log's order decides."""
    expected = {gtid.domain: gtid for gtid in [*before, *moved]}
    assert sorted(expected.values()) == list(Position(before).after(moved))


@given(gtids=st.lists(gtids, min_size=1))
def test_a_position_includes_what_led_to_it(gtids: list[Gtid]) -> None:
    """What a position includes is never asked for again."""
    position = Position(sorted(gtids, key=lambda gtid: gtid.sequence))
    assert all(position.includes(gtid) for gtid in gtids)
    last = max(gtid.sequence for gtid in gtids)
    assert not any(position.includes(gtid._replace(sequence=last + 1)) for gtid in gtids)


@given(name=identities, sequence=st.integers(0, 2**64 - 1))
def test_a_gtid_reads_back_from_its_text(name: tuple[int, int], sequence: int) -> None:
    """Servers and logs write it as domain-server-sequence."""
    gtid = Gtid(*name, sequence)
    assert gtid == Gtid.parse(str(gtid))
