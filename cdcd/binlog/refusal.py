"""What stops the decoder, in words: a source that will not go on, and events that cannot be carried."""

from __future__ import annotations

from cdcd.errors import BinlogError, BinlogPurged, CdcdError, ServerError, SourceLost, SourceRewound, UnsupportedEvent
from cdcd.model.position import Coordinates, Gtid

INCIDENT = 26
# Numbers of errors (MariaDB's ``include/mysqld_error.h`` and ``errmsg-utf8.txt``).
_CANNOT_SEND = 1236
_SHUTDOWN = frozenset({1053, 1077, 1079})
_CONNECTION_ENDED = frozenset({1152, 1159, 1160, 1161, 1927})
_SAME_READER = 4052  # another connection reads under our server_id, most likely a later run of the link
_ENDED = _SHUTDOWN | _CONNECTION_ENDED | {_SAME_READER}
PLACES_SURE = 3 << 30
_NAMES = {
    5: "INTVAR", 13: "RAND", 14: "USER_VAR", 17: "BEGIN_LOAD_QUERY", 18: "EXECUTE_LOAD_QUERY",
    26: "INCIDENT", 30: "WRITE_ROWS v2", 31: "UPDATE_ROWS v2", 32: "DELETE_ROWS v2", 33: "GTID (MySQL)",
    38: "XA_PREPARE", 39: "PARTIAL_UPDATE_ROWS", 40: "TRANSACTION_PAYLOAD", 42: "GTID_TAGGED",
}  # fmt: skip
NO_GTIDS = "the log has no GTIDs here: past this, the link is put with `cdcd position set --link NAME POSITION`"
ROW_FORMAT = "cdcd carries row events only: set binlog_format=ROW for every session of the source"


def named(kind: int) -> str:
    """Return an event type's number and name."""
    return f"event type {kind} ({_NAMES.get(kind, 'unknown')})"


def unsupported(kind: int) -> UnsupportedEvent:
    """Return the error for an event that the decoder does not read."""
    hint = ROW_FORMAT
    if kind == INCIDENT:
        hint = (
            "the source says that its log lost changes: take a new copy of the data, then give its position with"
            " `cdcd position set --link NAME POSITION`"
        )
    return UnsupportedEvent(f"{named(kind)} cannot be carried exactly", hint=hint)


def two_phases(is_xa: bool) -> UnsupportedEvent:
    """Return the error for a transaction that its GTID event says is logged before it is decided."""
    if is_xa:
        return UnsupportedEvent(
            "an XA transaction: its rows may still be rolled back after the log shows them",
            hint="cdcd carries ordinary transactions only",
        )
    return UnsupportedEvent(
        "an ALTER TABLE that is logged at its beginning and again at its end",
        hint="set binlog_alter_two_phase=OFF on the source, and run this one on the target by hand",
    )


def out_of_order(gtid: Gtid, latest: Gtid) -> UnsupportedEvent:
    """Return the error for a transaction whose number is not above that of one before it in its domain."""
    return UnsupportedEvent(
        f"{gtid} comes after {latest} in the log: where numbers of a domain go back, no position tells what is applied",
        hint="gtid_strict_mode = ON on the source, and a gtid_domain_id of its own for each server that it replicates"
        f" from, keep that from happening; do by hand what {gtid} did and what follows it, let the source write a"
        " transaction with a number above all others, then `cdcd position set --link NAME now`",
    )


def check_place(server: str, file: str, offset: int, at: Coordinates) -> None:
    """Raise SourceRewound where the first transaction that a source sends lies before the place of the position.

    ``offset`` is where the transaction's first event ends.
    """
    # Offsets in events are modulo 4 GiB.
    if at.server != server or not at.file or not 0 < at.offset < PLACES_SURE:
        return
    if offset <= at.offset if file == at.file else _comes_before(file, at.file):
        raise SourceRewound(
            f"the source goes on at {file}:{offset}, before the place of the position, {at.file}:{at.offset}:"
            " its log holds the position's number twice",
            hint="let the source write a transaction with a number above all others of the domain (SET SESSION"
            " gtid_seq_no), then `cdcd position set --link NAME now`, and cdcd verify",
        )


def _comes_before(file: str, other: str) -> bool:
    (base, _, number), (other_base, _, other_number) = file.rpartition("."), other.rpartition(".")
    return base == other_base and number.isdecimal() and other_number.isdecimal() and int(number) < int(other_number)


def server_error(payload: bytes) -> CdcdError:
    """Turn an error packet into ours (MariaDB Knowledge Base, "ERR_Packet")."""
    code = int.from_bytes(payload[1:3], "little")
    message = payload[9:] if payload[3:4] == b"#" else payload[3:]
    text = message.decode("utf-8", "replace")
    if code == _CANNOT_SEND:
        purged = "purged" in text or "first log file" in text
        kind = BinlogPurged if purged else SourceRewound if "missing the GTID" in text else BinlogError
        return kind(f"the source cannot send its log from here: {text}")
    if code in _ENDED:
        return SourceLost(f"the source ended the stream: {text}")
    return ServerError(code, text)
