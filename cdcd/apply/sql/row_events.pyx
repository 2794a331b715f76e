# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Rows as the events they came as: the BINLOG statement hands them to the server's own applier.

No value is written as text or parsed again, and the server needs no plan to find a row: it takes a third of the
work that SQL makes. What the rows contradict (a row that is there already, one that is missing) is an error,
so whoever sends these must be ready to run the changes as SQL instead.

Layouts: MariaDB Knowledge Base, "2-Binlog-Event-Header", "Format_description_event", "Table_map_event" and
"Rows_event_v1v2"; what a session must send first, and which events it may send: ``sql/sql_binlog.cc``.
"""

import binascii

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset
from libc.time cimport time

from cdcd.apply.sql.statement cimport Statement
from cdcd.apply.sql.writing cimport writing_of
from cdcd.row.layout cimport DELETE, INSERT, UPDATE, Change, Image, Layout, end_of
from cdcd.row.row_set cimport RowSet
from cdcd.row.values cimport Out

cdef enum:
    HEADER = 19
    FORMAT_DESCRIPTION = 15
    TABLE_MAP = 19
    WRITE_ROWS_V1 = 23          # UPDATE and DELETE follow, as the kinds of a row set do
    STATEMENT_END = 1           # flags of a rows event
    NO_FOREIGN_KEY_CHECKS = 2
    NO_CHECK_CONSTRAINTS = 128
    EVENT_BYTES = 192 * 1024    # a quarter more as text: the server works on one while the next is written

cdef const char* TABLE_ID = b"\x01\0\0\0\0\0"


def format_description(bytes version, int event_types):
    """Return the statement that tells a session how the events are laid out that it will be sent.

    ``version`` is that of a server that lays them out so, which knows as many ``event_types``.
    """
    lengths = bytearray(event_types)
    lengths[FORMAT_DESCRIPTION - 1] = 57 + event_types
    for kind in (TABLE_MAP, WRITE_ROWS_V1, WRITE_ROWS_V1 + 1, WRITE_ROWS_V1 + 2):
        lengths[kind - 1] = 8
    body = b"\x04\0" + version.ljust(50, b"\0") + bytes(4) + bytes([HEADER]) + bytes(lengths) + bytes(5)
    cdef Out out = Out()
    _put_header(out, FORMAT_DESCRIPTION, HEADER + len(body))
    out.put_bytes(body)
    return _statement(out)


def row_events(RowSet row_set):
    """Yield the statements that apply a row set of which ``fits_row_events`` is true."""
    cdef size_t at = 0
    while at < row_set.count:
        statement = _events(row_set, at)
        yield statement
        at += (<Statement>statement).rows


def fits_row_events(RowSet row_set):
    """Return whether the target can take the row images as they are: whole rows of a table that is the same there."""
    return row_set.plan.target.takes_images and row_set.bitmaps == NULL


cdef object _events(RowSet row_set, size_t first):
    """A TABLE_MAP and one rows event with as many rows as fit."""
    cdef Layout layout = row_set.plan.layout
    cdef bytes table_map = writing_of(row_set.plan).row_event_map
    cdef Out out = Out()
    cdef size_t at = first, complete, begins
    cdef uint32_t size
    cdef Change change
    _put_header(out, TABLE_MAP, HEADER + len(table_map))
    begins = out.size
    out.put_bytes(table_map)
    memcpy(out.data + begins, TABLE_ID, 6)
    begins = out.size
    _put_rows_head(out, row_set)
    for at in range(first, row_set.count):
        complete = out.size
        change = row_set.change(at)
        if row_set.kind != INSERT:
            _put_image(out, layout, change.before)
        if row_set.kind != DELETE:
            _put_image(out, layout, change.after)
        if at > first and out.size > EVENT_BYTES:
            out.size = complete
            break
    else:
        at = row_set.count
    size = out.size - begins
    memcpy(out.data + begins + 9, &size, 4)
    return Statement(_statement(out), row_set, first, at - first, 0, False, False)


cdef int _put_header(Out out, uint8_t kind, uint32_t size) except -1:
    """Write an event's header: the time is that of its events in the target's log, the rest is the session's there."""
    cdef uint8_t[HEADER] header
    cdef uint32_t now = time(NULL)
    memset(header, 0, HEADER)
    memcpy(header, &now, 4)
    header[4] = kind
    header[5] = 1
    memcpy(header + 9, &size, 4)
    return out.put(header, HEADER)


cdef int _put_rows_head(Out out, RowSet row_set) except -1:
    cdef int count = row_set.plan.layout.count
    cdef uint16_t flags = STATEMENT_END | NO_CHECK_CONSTRAINTS
    if row_set.foreign_keys_off:
        flags |= NO_FOREIGN_KEY_CHECKS
    _put_header(out, WRITE_ROWS_V1 + row_set.kind, 0)
    out.put(<const uint8_t*>TABLE_ID, 6)
    out.put(<const uint8_t*>&flags, 2)
    if count < 251:
        out.put_char(count)
    else:
        out.put_char(252)
        out.put(<const uint8_t*>&count, 2)
    if row_set.kind == UPDATE:
        out.put(row_set.plan.layout.every_column, row_set.plan.layout.present_bytes)
    return out.put(row_set.plan.layout.every_column, row_set.plan.layout.present_bytes)


cdef int _put_image(Out out, Layout layout, Image image) except -1:
    cdef const uint8_t* end = layout.locate(image, end_of(image), layout.offsets_after)
    return out.put(image.start, end - image.start)


cdef bytes _statement(Out out):
    return b"BINLOG '" + binascii.b2a_base64(out.data[:out.size], newline=False) + b"'"
