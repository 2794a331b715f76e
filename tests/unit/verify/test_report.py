"""What people read."""

from __future__ import annotations

from cdcd.verify.report import PRINTED_MAX, Difference, Report, TableReport


def test_differences_are_counted_and_the_first_are_printed() -> None:
    """A long list is cut, and the text says how much is left out."""
    table = TableReport("shop.orders", "shop2.orders", rows=1000, chunks=3, in_flight=5, seconds=1.25)
    for number in range(PRINTED_MAX + 2):
        table.add(Difference("missing", {"id": number, "code": "a'b"}))
    table.add(Difference("extra", {"id": 99, "code": "x"}))

    lines = str(Report("forward", [table])).splitlines()

    assert "shop.orders -> shop2.orders: DIFFERENT (1000 rows in 3 chunks, 5 in flight, 1.2 s)" == lines[0]
    assert "  22 missing on the target, 1 extra, 0 different" == lines[1]
    assert '    missing: id=0, code="a\'b"' == lines[2]
    assert ["    and 3 more", "forward: 1 of 1 tables differ"] == lines[-2:]


def test_a_problem_makes_a_table_different() -> None:
    """What could not be compared is not equal, and the reason is printed."""
    report = Report("forward", [TableReport("a.b", "a.b", problem="there is no such table on the target")])

    assert not report.equal
    assert "  there is no such table on the target" in str(report).splitlines()
