"""What the target's answer to a marker says (``checkpoint.Checkpoint.marker`` writes it)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cdcd.errors import Fenced, ServerError

CHANGED = 2  # MariaDB Knowledge Base, "INSERT ON DUPLICATE KEY UPDATE": a row that was there counts twice
OUT_OF_RANGE = 1690  # ER_DATA_OUT_OF_RANGE, include/mysqld_error.h


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
        if error.code != OUT_OF_RANGE:
            raise
        raise Fenced("a later run of this link has begun") from error
