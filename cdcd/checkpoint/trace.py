"""Where a link has left traces: its witnesses in cdcd.link of both servers, kept in step by commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from cdcd.checkpoint import witness
from cdcd.checkpoint.offline import mark
from cdcd.checkpoint.witness import Witness
from cdcd.mysql.session import Session
from cdcd.sql import quote


@dataclass(frozen=True, slots=True)
class Trace:
    """One link between two sites, by the names that witnesses give them."""

    link: str
    source: str
    target: str

    @classmethod
    def of(cls, found: Witness) -> Trace:
        """Return the link that a witness is of."""
        return cls(found.link, found.source, found.target)

    def is_of(self, found: Witness) -> bool:
        """Return whether a witness is of this link."""
        return Trace.of(found) == self

    @property
    def where(self) -> str:
        """The condition for its row in cdcd.link."""
        return witness.row_of(self.link, self.source, self.target)

    async def rename_on(self, session: Session, new: str) -> None:
        """Give its row in cdcd.link another link's name; one that an earlier attempt left gives way."""
        if any(self.is_of(found) for found in await witness.read(session)):
            await session.execute(f"DELETE FROM cdcd.link WHERE {replace(self, link=new).where}")
            await session.execute(f"UPDATE cdcd.link SET link = {quote.text(new)} WHERE {self.where}")

    async def forget_on(self, session: Session) -> None:
        """Remove its row in cdcd.link."""
        if any(self.is_of(found) for found in await witness.read(session)):
            await session.execute(f"DELETE FROM cdcd.link WHERE {self.where}")


@asynccontextmanager
async def own_transaction(session: Session) -> AsyncIterator[None]:
    """Make one transaction of what is done on a link's source, one that readers of its log pass over."""
    await session.execute("BEGIN")
    await mark(session)
    yield
    await session.execute("COMMIT")
