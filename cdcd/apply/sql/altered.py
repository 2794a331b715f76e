"""Whether the target's tables still are what the plans know, seen before COMMIT.

What a transaction has written to cannot be altered until it ends, so a look after the last row holds. A look at
a table's definition, its triggers and what refers to it costs more than a small transaction may, so there is a sign
that none is needed: the number of tables that the server has opened, by anyone. Whoever alters a table, or its
triggers, takes it out of the server's cache, and the next statement about it, ours at the latest, opens it anew; a
table that refers to it was opened by whoever put rows there. While the number is what it was when a plan was seen to
be right, the plan is right. Where it has moved, for whatever reason, the tables of
the transaction are looked at.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from cdcd.apply.sql.marker_event import MarkerEvents, MarkerRefusedError
from cdcd.apply.sql.writing import writing_of
from cdcd.errors import ServerError, TargetAltered
from cdcd.mysql import codes
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.schema import definition, definition_query, is_parent, triggers_query
from cdcd.mysql.session import Answer, Session
from cdcd.row.plan import Plan


def known_opens(plans: Collection[Plan], marks: MarkerEvents | None = None) -> int:
    """Return the number of opened tables under which all of them were seen to be right; -1 where there is none."""
    numbers = {writing_of(plan).opens for plan in plans}
    if marks is not None:
        numbers.add(marks.opens)
    return numbers.pop() if len(numbers) == 1 else -1


@dataclass(slots=True)
class Opens:
    """The question how many tables the server has opened, after the last row of a transaction.

    ``number`` is what the plans were seen to be right at; ``is_known`` says whether it still is the number.
    """

    plans: Collection[Plan]
    number: int
    marks: MarkerEvents | None = None  # where the transaction begins with one
    is_known: bool = False
    is_exact: ClassVar[bool] = False

    @classmethod
    def of(cls, plans: Collection[Plan], marks: MarkerEvents | None = None) -> Opens:
        """Return the question for these plans, and for the marker's table where it is written by events."""
        return cls(plans, known_opens(plans, marks), marks)

    def guard(self, flavor: Flavor) -> bytes:
        """Return a statement that fails unless it is that number, so that a COMMIT behind it is not run."""
        opened = flavor.catalog.status_value.format(name="OPENED_TABLES")
        return f"SET @cdcd_fence=IF({opened}={self.number},1,(SELECT 1 UNION SELECT 2))".encode()

    def check(self, answer: Answer) -> None:
        """Take the answer."""
        self.is_known = answer.matched == self.number >= 0

    def is_refusal(self, error: ServerError) -> bool:
        """Return whether an error is the guard's; the number counts no more then."""
        if error.code != codes.SUBQUERY_OF_TWO_ROWS:
            return False
        for plan in self.plans:
            writing_of(plan).opens = -1
        if self.marks is not None:
            self.marks.opens = -1
        return True


async def look(session: Session, plans: Collection[Plan], marks: MarkerEvents | None = None) -> None:
    """Look at the tables that an open transaction has written to.

    Raises TargetAltered unless they fit the plans, MarkerRefusedError where the marker's does not fit its events.
    """
    if marks is not None and not await marks.fits(session):
        raise MarkerRefusedError("cdcd.checkpoint was altered, and is not written by events any more")
    for plan in plans:
        name = plan.target.name
        try:
            rows = await session.fetch(definition_query(session.flavor, name))
            triggers = await session.fetch(triggers_query(name))
        except ServerError as error:
            if error.code not in codes.GONE:
                raise
            rows = triggers = []
        if triggers or [plan.target.definition] != [definition((row[0], row[1])) for row in rows]:
            raise TargetAltered("the target table was altered").at(table=".".join(name))
        # One that is known to be a parent, or not known to be none, is written with all care already.
        takes_care = plan.target.table.is_parent or not plan.target.table.has_all_references
        if not takes_care and await is_parent(session, name) is not False:
            raise TargetAltered("a foreign key refers to the target table now").at(table=".".join(name))
    await session.send_opens()
    [answer] = await session.receive()
    for plan in plans:
        writing_of(plan).opens = answer.matched
    if marks is not None:
        marks.opens = answer.matched
