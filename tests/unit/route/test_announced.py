"""Statements that cdcd announced are told from those of applications."""

from __future__ import annotations

from cdcd.route.announced import APART_SECONDS_MAX, Announced, Announcement

NOW = 1_700_000_000


def announcement(session=7, verb="DROP TABLE", objects="shop\ta\nshop\tb", seconds=NOW):
    """Make the row of a statement."""
    return Announcement.of("forward", session, verb, objects, seconds * 1_000_000)


def waiting(*announcements):
    """Expect announcements."""
    announced = Announced()
    for one in announcements:
        announced.expect(one)
    return announced


def take(announced, session=7, verb="DROP TABLE", objects=(("shop", "a"), ("shop", "b")), timestamp=NOW):
    """Ask for a statement."""
    return announced.take(session, verb, objects, timestamp)


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
    """The log names the tables that were dropped."""
    assert take(waiting(announcement()), objects=[("shop", "b")])


def test_a_statement_of_another_time_is_not_dropped():
    """After a restart the server gives the same connection numbers to others."""
    announced = waiting(announcement())
    assert not take(announced, timestamp=NOW + APART_SECONDS_MAX + 1)
    assert not take(announced, timestamp=NOW - APART_SECONDS_MAX - 1)
    assert take(announced, timestamp=NOW - 1)


def test_announcements_that_lie_ahead_are_all_expected():
    """A run may begin before several statements, whose announcements are in the table already."""
    announced = waiting(announcement(verb="RENAME TABLE"), announcement(session=9))
    assert take(announced, session=9)
    assert take(announced, verb="RENAME TABLE")
