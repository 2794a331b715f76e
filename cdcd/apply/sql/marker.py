"""The marker as a statement, which begins a target transaction, and what the target's answer to it says.

A first try begins with an event instead where the target takes it (``marker_event``). This one goes wherever events do
not, sees whether the slot holds the batch already, and tells why an event was refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cdcd.apply.contract import Mark
from cdcd.checkpoint.store import COLUMNS, place
from cdcd.errors import Fenced, ServerError
from cdcd.model.position import pack
from cdcd.mysql import codes
from cdcd.sql import quote

CHANGED = 2  # MariaDB Knowledge Base, "INSERT ON DUPLICATE KEY UPDATE": a row that was there counts twice


def statement(mark: Mark) -> bytes:
    """Return the statement that writes a mark; it fails once a later run has the link.

    It matches 2 where it changed the slot's row, as servers count an INSERT that found a duplicate. A later run's
    row, or one that holds this batch already, makes it an error instead (out of range), so that nothing that
    was sent after it in one packet is run. A plain UPDATE would match nothing, and the packet go on.
    """
    progress, epoch, batch = mark.progress, mark.epoch, mark.batch
    applied = quote.binary(pack(progress.applied)) if progress.applied else "''"
    return (
        f"INSERT INTO cdcd.checkpoint ({COLUMNS})"
        f" VALUES ({quote.text(mark.link)},{mark.slot},{quote.text(mark.origin)},'{progress.position}',"
        f"{applied},{epoch},{batch},CONNECTION_ID(),{','.join(place(progress.at))}) ON DUPLICATE KEY UPDATE"
        f" batch=VALUES(batch)+0*(18446744073709551614+IF(epoch={epoch} AND batch<{batch},1,2)),"
        "origin=VALUES(origin),position=VALUES(position),applied=VALUES(applied),session=VALUES(session),"
        "source_server=VALUES(source_server),log_file=VALUES(log_file),log_offset=VALUES(log_offset),"
        "event_time=VALUES(event_time),log_began=VALUES(log_began),updated_at=NOW(6)"
    ).encode()


def check(matched: int) -> None:
    """Raise Fenced unless the marker changed this run's row."""
    if matched != CHANGED:
        raise Fenced("the link's row in cdcd.checkpoint was deleted while it ran").at(matched=matched)


@contextmanager
def refusal() -> Iterator[None]:
    """Raise Fenced where the server refuses a marker, for one that is run by itself."""
    try:
        yield
    except ServerError as error:
        if error.code != codes.OUT_OF_RANGE:
            raise
        raise Fenced("a later run of this link has begun") from error
