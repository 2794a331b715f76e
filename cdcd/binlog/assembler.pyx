# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Put transactions together from what the events of a log say, whatever the server wrote around it.

What is common to the logs of a family of servers is here: tables that events announce by number, rows of them, the
marker that tells a link's own transactions, parts of what is too large to hold. How a transaction begins and ends, and
what is called what, is the decoder's.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from cdcd.row.transaction cimport TableMap, Transaction

from cdcd.binlog import table_map
from cdcd.errors import MalformedEvent

cdef enum:
    PART_BYTES = 64 * 1024
    RECENT = 16
    MAPS_MAX = 10_000

cdef uint64_t TABLE_ID = 0xFFFFFFFFFFFF     # six bytes


cdef inline uint64_t _table_id(const uint8_t* p) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, p, 8)
    return value & TABLE_ID


cdef inline bint _is_ours(const uint8_t* body, size_t length) noexcept nogil:
    """Whether a TABLE_MAP event is of a table in database cdcd: its name follows 8 bytes, after its length."""
    return length > 13 and body[8] == 4 and memcmp(body + 9, "cdcd", 4) == 0


cdef class Assembler:
    """Holds the transaction that is open, and those that have ended and are not taken yet.

    ``relay_except`` and ``transaction_bytes_max`` are as the decoder's.
    """

    def __cinit__(self, relay_except, size_t transaction_bytes_max):
        self.transaction_bytes_max = transaction_bytes_max
        self._relay_except = relay_except
        self._maps = {}
        self._recent = []
        self._ids = {}
        self._done = []
        self.passed = {}

    cdef int begin(self, gtid, uint32_t timestamp, bint has_returned) except -1:
        if self.open is not None:
            raise MalformedEvent(f"transaction {gtid} begins inside {self.open.gtid}")
        self.open = Transaction(gtid, timestamp)
        self.open.has_returned = has_returned
        self._ids.clear()
        return 0

    cdef int table(self, const uint8_t* body, size_t length) except -1:
        """Take a TABLE_MAP event's body. Where it begins a transaction with the marker, that one is a link's own."""
        if self.open is None:
            raise MalformedEvent("a TABLE_MAP event outside a transaction")
        if length < 10:
            raise MalformedEvent("a TABLE_MAP event that is too short")
        cdef TableMap table = self._known_table(body, length)
        if table.is_marker and self._relay_except is None and self.open.ref_count == 0 and self.open.part == 0:
            self.skipping = True
            return 0
        self._ids[_table_id(body)] = table
        return 0

    cdef int pass_table(self, const uint8_t* body, size_t length) except -1:
        """Take a TABLE_MAP event's body of a transaction that is not carried."""
        if not _is_ours(body, length):
            self._outside = True
        return 0

    cdef TableMap _known_table(self, const uint8_t* body, size_t length):
        """Return the table that an event of these very bytes describes; a log names few tables, again and again."""
        cdef TableMap table
        cdef Py_ssize_t i
        for i in range(len(self._recent)):
            table = self._recent[i]
            if table.size == length and memcmp(<const char*>table.body, body, length) == 0:
                return table
        key = body[:length]
        table = self._maps.get(key)
        if table is None:
            table = TableMap(key, table_map.parse(key))
            if len(self._maps) >= MAPS_MAX:
                self._maps.clear()
            self._maps[key] = table
        if len(self._recent) >= RECENT:
            self._recent.pop(0)
        self._recent.append(table)
        return table

    cdef int _forget_tables(self) except -1:
        """After a schema change or a restart of the source, a table is looked at anew."""
        self._maps.clear()
        self._recent.clear()
        return 0

    cdef int rows(self, uint64_t table_id, uint8_t flags, const uint8_t* body, size_t length, uint8_t kind) except -1:
        """Take a rows event's body from the number of columns on; ``flags`` are the event's own."""
        if self.open is None:
            raise MalformedEvent("a rows event outside a transaction")
        cdef TableMap table = self._ids.get(table_id & TABLE_ID)
        if table is None:
            raise MalformedEvent("a rows event names a table that no TABLE_MAP announced")
        if self.open.ref_count == 0 and self.open.part == 0 and table.is_marker:
            return self._relayed(table, body[:length], kind)
        self.open.add_rows(table, body, length, kind, flags)
        cdef size_t most = self.transaction_bytes_max
        if self.open.part:
            most = min(most, max(PART_BYTES, most // 16))
        if self.open.weighs(most):
            self._hand_on_part()
        return 0

    cdef int _relayed(self, TableMap table, bytes body, uint8_t kind) except -1:
        """A relaying link reads the marker's origin, and passes over what its own target has already."""
        if self.open.origin is not None:
            return 0
        origin = table_map.marker_origin(table.description, body, kind)
        if origin in self._relay_except:
            self.skipping = True
        self.open.origin = origin
        return 0

    cdef int _hand_on_part(self) except -1:
        cdef Transaction part = self.open
        part.trim()
        if self.passed:
            self._tell_passed(part)
        part.received = self.received
        self._done.append(part)
        self.done_size += part.size
        self.open_parts = True
        self.open = Transaction(part.gtid, part.timestamp, part.origin, part.part + 1)
        self.open.has_returned = part.has_returned
        return 0

    cdef bint statement(self, found) except -1:
        """Keep a statement; return whether it is what the transaction is, and not beside its rows.

        What is beside them is for those who know the rules.
        """
        if self.open.query is not None or self.open.ref_count or self.open.part:
            self.open.note(found)
            return False
        self.open.query = found
        self._forget_tables()
        return True

    cdef int pass_statement(self, found) except -1:
        """Keep a statement of a transaction that is passed over: it may change tables."""
        self.open.query = found
        return self._forget_tables()

    cdef int end(self, tuple log, uint64_t offset) except -1:
        """End the open transaction at a place in the log, and hand it on unless it is a link's own."""
        cdef Transaction done = self.open
        if done is None:
            raise MalformedEvent("a commit outside a transaction")
        done.log = log
        done.offset = offset
        self.last = done
        self.open = None
        if self.skipping:
            self.skipping = False
            self.suppressed += 1
            self.passed[done.gtid.stream] = done.gtid
            self.suppressed_outside += self._outside
            self._outside = False
            return 0
        self.open_parts = False
        done.complete = True
        done.trim()
        if self.passed:
            self._tell_passed(done)
            self.passed = {}
        done.received = self.received
        self._done.append(done)
        self.done_size += done.size
        return 0

    cdef int drop(self) except -1:
        """Forget the open transaction, which was cut off and never committed, and the tables."""
        if self.open_parts:
            self._take_back_parts()
        self.open = None
        self.skipping = self._outside = False
        return self._forget_tables()

    cdef int _tell_passed(self, Transaction next) except -1:
        """Have a transaction say which of other streams came before it: where it ends, they have passed too."""
        if not next.part:
            next.passed = tuple([gtid for stream, gtid in self.passed.items() if stream != next.gtid.stream])
        return 0

    cdef int _take_back_parts(self) except -1:
        """Say after the parts that were handed on that the rest will not come."""
        cdef Transaction rest = Transaction(self.open.gtid, self.open.timestamp, self.open.origin, self.open.part)
        rest.received = self.received
        rest.rolled_back = rest.is_judged = True
        self._done.append(rest)
        self.open_parts = False
        return 0

    cdef list take(self):
        """Return what has ended since this was last called, in order."""
        cdef list done = self._done
        self._done = []
        self.done_size = 0
        self.last = None
        return done
