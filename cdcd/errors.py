"""The tree of errors. Each says whether to retry or to stop, and carries a hint for the operator.

CdcdError
├── ConfigError              the file is wrong: every mistake at once, each with its path
├── Lost                     a connection ended; the link restarts from its checkpoint
│   ├── SourceLost
│   └── TargetLost
├── TargetBusy               deadlock or lock wait: nothing was committed, the same work is tried again
├── TargetAltered            a target table is not what it was: nothing was committed, it is looked at again
├── AccessDenied             wrong password or a missing privilege
├── BinlogError
│   ├── BinlogPurged         the source no longer has the position
│   ├── MalformedEvent       bytes that do not follow the format, or fail their CRC32
│   └── UnsupportedEvent     an event that cannot be carried exactly
├── SchemaMismatch           an event and a table do not fit
├── Conflict                 the target's rows contradict the change, and no policy may decide
├── ApplyFailed              the target refuses a statement for good
├── LayoutMismatch           cdcd's own tables on a server are not what this version can use
├── Fenced                   another run has taken this link over
├── ServerError              any other error that a server answers; ``code`` is the server's number
└── PrecheckFailed           what `cdcd check` would report stops the start
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, Self


class OnError(Enum):
    """What the supervisor does with an error."""

    RETRY = "retry"
    STOP = "stop"


class CdcdError(Exception):
    """Base of every error that cdcd raises on purpose.

    ``hint`` says what to do. Facts about where it happened (link, table, position) are added with
    :meth:`at` as the error travels up, and printed with it.
    """

    on_error: ClassVar[OnError] = OnError.STOP
    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where: dict[str, str] = {}
        if hint:
            self.hint = hint

    def at(self, **where: object) -> Self:
        """Add where it happened, keeping what an inner frame already said."""
        for name, value in where.items():
            self.where.setdefault(name, str(value))
        return self

    def __str__(self) -> str:
        """Return the message, then where it happened, then the hint."""
        where = ", ".join(f"{name} {value}" for name, value in self.where.items())
        return self.message + (f" ({where})" if where else "") + (f"; {self.hint}" if self.hint else "")


class ConfigError(CdcdError):
    """The configuration is wrong; ``problems`` holds every mistake with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Lost(CdcdError):
    """A connection ended or could not be made."""

    on_error = OnError.RETRY


class SourceLost(Lost):
    """The connection to the source ended, or the source fell silent."""


class TargetLost(Lost):
    """The connection to the target ended; an open COMMIT may or may not have happened."""


class TargetBusy(CdcdError):
    """The target rolled a statement back (deadlock, lock wait); running it again is safe."""

    on_error = OnError.RETRY


class TargetAltered(CdcdError):
    """A target table was altered since the link looked at it; nothing was committed, and it is looked at again."""

    on_error = OnError.RETRY


class AccessDenied(CdcdError):
    """The server refuses the account."""

    hint = "check user, password and grants; `cdcd check` prints the statements that fix them"


class BinlogError(CdcdError):
    """The source's log cannot be followed."""


class BinlogPurged(BinlogError):
    """The source no longer has the position that the link must resume from."""

    hint = "take a new copy of the data: the source has purged the log that this link still needed"


class MalformedEvent(BinlogError):
    """Bytes that do not follow the binary log format."""


class UnsupportedEvent(BinlogError):
    """An event that cannot be carried exactly, so the link stops instead of skipping it."""


class SchemaMismatch(CdcdError):
    """An event does not fit the table that it names, on the source or on the target."""


class Conflict(CdcdError):
    """The target holds rows that contradict a change, and overwriting them would lose another row."""


class ApplyFailed(CdcdError):
    """The target refuses a statement; running it again would not help."""


class LayoutMismatch(CdcdError):
    """cdcd's own tables on a server are of another version, or not what exactly once needs."""


class Fenced(CdcdError):
    """A later run of the same link has taken over; this one may not write any more."""

    hint = "another cdcd runs this link, or took it over: stop one of the two"


class PrecheckFailed(CdcdError):
    """Something must be fixed before any data moves."""


class ServerError(CdcdError):
    """A server answered a statement with an error that no more specific class names."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"server error {code}: {message}")
        self.code = code


def first_of(group: BaseExceptionGroup[BaseException]) -> CdcdError | None:
    """Return the first of our errors in a group that tasks raised together, or None when there is none."""
    for error in group.exceptions:
        found = first_of(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, CdcdError):
            return found
    return None
