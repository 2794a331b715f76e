"""The tree of errors. Each says whether to retry or to stop, and carries a hint for the operator.

CdcdError
├── ConfigError              the file is wrong: every mistake at once, each with its path
├── Lost                     a connection ended; the link restarts from its checkpoint
│   ├── SourceLost
│   └── TargetLost
├── TargetBusy               deadlock or lock wait: nothing was committed, the same work is tried again
├── TargetAltered            a target table is not what it was: nothing was committed, it is looked at again
├── AccessDenied             wrong password or a missing privilege
├── UnsupportedServer        a server of a kind whose log cannot be followed
├── BinlogError
│   ├── BinlogPurged         the source no longer has the position
│   ├── SourceRewound        the source's log is another than the one that the position is from
│   ├── MalformedEvent       bytes that do not follow the format, or fail their CRC32
│   └── UnsupportedEvent     an event that cannot be carried exactly
├── SchemaMismatch           an event and a table do not fit
├── Conflict                 the target's rows contradict the change, and no policy may decide
├── ApplyFailed              the target refuses a statement for good
├── LayoutMismatch           cdcd's own tables on a server are not what this version can use
├── CheckpointLost           a link has run before, and what is applied is not known any more
├── CheckpointForeign        the checkpoint of this name was written for another link
├── Fenced                   another run has taken this link over
├── LinkRuns                 what an operator asks for needs a link that does not run
├── ServerError              any other error that a server answers; ``code`` is the server's number
└── PrecheckFailed           what `cdcd check` would report stops the start, or a connect
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
    """The target rolled a statement back (deadlock, lock wait); running it again is safe. ``code`` is the server's."""

    on_error = OnError.RETRY
    code = 0


class TargetAltered(CdcdError):
    """A target table was altered since the link looked at it; nothing was committed, and it is looked at again."""

    on_error = OnError.RETRY


class AccessDenied(CdcdError):
    """The server refuses the account."""

    hint = "check user, password and grants; `cdcd check` prints the statements that fix them"


class UnsupportedServer(CdcdError):
    """The server is of no kind that is known (``mysql.flavor``)."""

    hint = "see that the site's host and port are the server's that is meant"


class BinlogError(CdcdError):
    """The source's log cannot be followed."""

    hint = (
        "see the source's own log of errors; past what the source cannot read itself, the link is put with"
        " `cdcd position set --link NAME POSITION`"
    )


class BinlogPurged(BinlogError):
    """The source no longer has the position that the link must resume from."""

    hint = (
        "the source has purged the log that this link still needed: take a new copy of the data, then give its position"
        " with `cdcd position set --link NAME POSITION`"
    )


class SourceRewound(BinlogError):
    """The source's log does not hold the position: it was reset, restored or replaced, or is another server's."""

    hint = (
        "compare the data of both sides: take a new copy, or say where to go on with"
        " `cdcd position set --link NAME POSITION`"
    )


class MalformedEvent(BinlogError):
    """Bytes that do not follow the binary log format."""

    hint = (
        "start the link again, in case they were damaged on their way; past a log that is damaged itself, it is put"
        " with `cdcd position set --link NAME POSITION`"
    )


class UnsupportedEvent(BinlogError):
    """An event that cannot be carried exactly, so the link stops instead of skipping it."""

    hint = "do on the target by hand what it did; `cdcd position set --link NAME POSITION` puts the link after it"


class SchemaMismatch(CdcdError):
    """An event does not fit the table that it names, on the source or on the target."""

    hint = "make the target's table what the source's is, or leave it out of the link with `exclude`"


class Conflict(CdcdError):
    """The target holds rows that contradict a change, and overwriting them would lose another row."""

    hint = "compare the sites with `cdcd verify --link NAME`, put the row right by hand, then start the link again"


class ApplyFailed(CdcdError):
    """The target refuses a statement; running it again would not help."""

    hint = "put right on the target what it complains of, then start the link again"


class LayoutMismatch(CdcdError):
    """cdcd's own tables on a server are of another version, or not what exactly once needs."""

    hint = "run a cdcd that knows them, or see what was done to the tables of database cdcd"


class CheckpointLost(CdcdError):
    """A link has run before, and its checkpoint is gone or is kept under another name."""

    hint = (
        "say where to go on with `cdcd position set --link NAME POSITION`, or begin anew after"
        " `cdcd link forget --link NAME`"
    )


class CheckpointForeign(CdcdError):
    """The target holds a checkpoint under the link's name that is another link's."""

    hint = "give this link a name of its own"


class Fenced(CdcdError):
    """A later run of the same link has taken over; this one may not write any more."""

    hint = "another cdcd runs this link, or took it over: stop one of the two"


class LinkRuns(CdcdError):
    """A command would change what a running link relies on."""

    hint = "stop the daemon that runs it (systemctl stop), then give the command again"


class PrecheckFailed(CdcdError):
    """Something must be fixed before any data moves."""

    hint = "`cdcd check` prints what fixes it"


class ServerError(CdcdError):
    """A server answered a statement with an error that no more specific class names."""

    hint = "put right what the server complains of, then start the link again"

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"server error {code}: {message}")
        self.code = code
        self.answered = 0  # statements of the same command, before the one that failed


def first_of(group: BaseExceptionGroup[BaseException]) -> CdcdError | None:
    """Return the first of our errors in a group that tasks raised together, or None when there is none."""
    for error in group.exceptions:
        found = first_of(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, CdcdError):
            return found
    return None
