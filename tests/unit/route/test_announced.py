"""Statements that cdcd announced are told from those of applications."""

from __future__ import annotations

from cdcd.model.query import Query
from cdcd.route.announced import Announced, Announcement

NOW = 1_700_000_000


def announcement(session=7, verb="DROP TABLE", objects="shop\ta\nshop\tb", at=NOW * 1_000_000):
    """Make the row of a statement."""
    return Announcement.of("forward", "0-1-5", "east", session, verb, objects, at)


def waiting(*announcements):
    """Expect announcements."""
    announced = Announced()
    for one in announcements:
        announced.expect(one)
    return announced


def take(
    announced, session=7, verb="DROP TABLE", objects=(("shop", "a"), ("shop", "b")), timestamp=NOW, microseconds=None
):
    """Ask for a statement."""
    query = Query("shop", verb, session, None, True, True, None, "", microseconds=microseconds)
    return announced.take(query, verb, objects, timestamp) is not None


def test_a_statement_is_dropped_once():
    """The second one of the same text is an application's."""
    announced = waiting(announcement())
    assert take(announced)
    assert not take(announced)


def test_session_verb_and_objects_must_agree():
    """Each of them alone may be the same by chance."""
    announced = waiting(announcement())
    assert not take(announced, session=8)
    assert not take(announced, verb="TRUNCATE TABLE")
    assert not take(announced, objects=[("shop", "a"), ("shop", "c")])
    assert not take(announced, objects=[])
    assert take(announced)


def test_the_order_and_case_of_names_are_the_servers():
    """A server may write a list anew, in lower case."""
    announced = waiting(announcement(objects="Shop\tA\nshop\tb"))
    assert take(announced, objects=[("shop", "B"), ("shop", "a")])


def test_a_drop_of_which_only_a_part_was_there_is_dropped_too():
    """The log may name the tables that were dropped alone."""
    assert take(waiting(announcement()), objects=[("shop", "b")])


def test_a_statement_carries_the_very_time_of_its_announcement():
    """After a restart the server gives the same connection numbers to others, who have times of their own."""
    announced = waiting(announcement(at=NOW * 1_000_000 + 250_000))
    assert not take(announced, timestamp=NOW + 1)
    assert not take(announced, timestamp=NOW - 1)
    assert not take(announced, microseconds=250_001)
    assert take(announced, microseconds=250_000)


def test_announcements_that_lie_ahead_are_all_expected():
    """A run may begin before several statements, whose announcements are in the table already."""
    announced = waiting(announcement(verb="RENAME TABLE"), announcement(session=9))
    assert take(announced, session=9)
    assert take(announced, verb="RENAME TABLE")
