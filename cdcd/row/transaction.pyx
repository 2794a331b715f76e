# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A source commit with its rows as the log has them, and the tables that it names."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from cdcd.row.layout cimport INSERT, UPDATE, Image, Layout

from cdcd.errors import MalformedEvent, UnsupportedEvent
from cdcd.model.position import Coordinates

cdef enum:
    SAVEPOINT_BYTES = 2 * BYTES_MIN


cdef size_t _column_count(const uint8_t* body, size_t length, size_t* at) noexcept:
    """Return how many columns a rows event has, and where their bitmap begins; 0 where it is too short for that."""
    cdef size_t count
    if length < 3:
        return 0
    count = body[0]
    at[0] = 1
    if count == 252:
        count = body[1] | body[2] << 8
        at[0] = 3
    return count if length >= at[0] + (count + 7) // 8 else 0


cdef enum:
    SCANNED_MAX = 16    # so few tables are found faster by looking at each


cdef bint _lacks_columns(const uint8_t* body, size_t length) noexcept:
    """Return whether the images of a rows event lack a column, as the bitmap after the number of columns tells."""
    cdef size_t at, i, count = _column_count(body, length, &at)
    if not count:
        return False    # Whoever walks the rows refuses it.
    for i in range(count // 8):
        if body[at + i] != 255:
            return True
    return ~body[at + count // 8] & (1 << count % 8) - 1 if count % 8 else False


cdef class TableMap:
    """A table as one TABLE_MAP event describes it, between two changes of the schema."""

    def __init__(self, body, description):
        self.body = body
        self.size = len(body)
        self.description = description
        self.is_marker = self.description.name == ("cdcd", "checkpoint")
        self.is_announcement = self.description.name == ("cdcd", "ddl")

    cdef size_t images(self, const uint8_t* body, size_t length, uint8_t kind) except? 0:
        """Return how many row images an event holds, up to where they cannot be told apart: nobody merges those."""
        cdef Layout layout = self._layout()
        cdef size_t at, count = 0, sides = 2 if kind == UPDATE else 1
        cdef const uint8_t* end = body + length
        cdef const uint8_t* next
        cdef bint whole
        cdef Image image
        if layout is None or _column_count(body, length, &at) != <size_t>layout.count or not layout.count or (
                length < at + sides * layout.present_bytes):
            return 0
        body += at
        whole = layout.is_full(body) and layout.is_full(body + (sides - 1) * layout.present_bytes)
        image.start = body + sides * layout.present_bytes
        try:
            while image.start < end:
                image.present = layout.every_column if whole else body + count % sides * layout.present_bytes
                next = layout.locate(image, end, layout.offsets_before)
                if next == image.start:
                    break   # An image of no columns: there could be any number of them.
                image.start = next
                count += 1
        except MalformedEvent:
            pass
        return count

    cdef Layout _layout(self):
        if not self.is_looked_at:
            self.is_looked_at = True
            columns = len(self.description.columns)
            try:
                self.layout = Layout(self.description, [""] * columns, [""] * columns)
            except UnsupportedEvent:
                pass
        return self.layout


@cython.no_gc   # It refers to nothing that could refer to it, and there are tens of thousands.
cdef class Transaction:
    """One source commit, or one part of a commit too large to hold.

    ``query`` is the statement of a schema change, else None. ``part`` counts from 0; ``complete`` says that
    the commit has been read, so a transaction of ordinary size is part 0 and complete.
    ``noted`` and ``undone`` hold what only the link's rules can judge: statements beside rows, and the tables of rows
    that the log shows and takes back. Servers log that where a transaction made or dropped temporary tables.
    ``origin`` is the site where it was first executed when that is not the source itself, else None. ``passed`` are the
    last of other streams that a link wrote before it, and that nobody is told of else.

    ``size`` is the bytes of its rows events. What is bounded is its *weight*: of each event the bytes, but no less
    than BYTES_MIN for each row image, so that what a batch makes of rows (references, net rows, hashes of keys) takes
    about as much again as it counts for, however narrow they are. Rows of ordinary width weigh their bytes.
    """

    def __cinit__(self, gtid, uint32_t timestamp, str origin=None, int part=0):
        self.gtid = gtid
        self.timestamp = timestamp
        self.origin = origin
        self.query = None
        self.tables = []
        self.noted = ()
        self.undone = self.passed = ()
        self.rolled_back = self.has_returned = self.leaves_out = self.is_judged = self.is_planned = False
        self.savepoints = None
        self.places = None
        self.part = part
        self.complete = False
        self.received = 0
        self.log = ("", "", 0)
        self.offset = 0
        self.data = NULL
        self.refs = NULL
        self.size = self.capacity = 0
        self.weight = self.weighed = 0
        self.ref_count = self.ref_capacity = 0

    def __dealloc__(self):
        free(self.data)
        free(self.refs)

    cdef int add_rows(self, TableMap table, const uint8_t* body, size_t length, uint8_t kind,
                      uint8_t flags) except -1:
        cdef size_t capacity
        cdef void* grown
        if self.size + length > self.capacity:
            # Most transactions are one event: it fits, and more are rarely to come.
            capacity = max(self.size + length, self.capacity * 2)
            grown = realloc(self.data, capacity)
            if grown == NULL:
                raise MemoryError(f"no memory for a transaction of {capacity} bytes")
            self.data = <uint8_t*>grown
            self.capacity = capacity
        if self.ref_count == self.ref_capacity:
            self.ref_capacity = 4 * self.ref_capacity if self.ref_capacity else 1
            grown = realloc(self.refs, self.ref_capacity * sizeof(RowsRef))
            if grown == NULL:
                raise MemoryError("no memory for a transaction's events")
            self.refs = <RowsRef*>grown
        memcpy(self.data + self.size, body, length)
        self.refs[self.ref_count] = RowsRef(self.place(table), self.size, length, kind, flags)
        self.ref_count += 1
        self.size += length
        self.leaves_out |= kind == INSERT and _lacks_columns(body, length)
        return 0

    cdef int place(self, TableMap table) except -1:
        """Return a table's index; it is listed once, however its rows and those of others take turns."""
        cdef Py_ssize_t count = len(self.tables), i
        if self.places is None:
            for i in range(count - 1, -1, -1):
                if self.tables[i] is table:
                    return i
            if count == SCANNED_MAX:
                self.places = {known: i for i, known in enumerate(self.tables)}
        found = None if self.places is None else self.places.get(table)
        if found is not None:
            return found
        self.tables.append(table)
        if self.places is not None:
            self.places[table] = count
        return count

    cdef void trim(self) noexcept:
        """Give back what growing left over: a queue of small transactions would otherwise hold twice its bytes."""
        cdef void* smaller
        self.savepoints = None
        if self.size < self.capacity:
            smaller = realloc(self.data, max(<size_t>1, self.size))
            if smaller != NULL:
                self.data = <uint8_t*>smaller
                self.capacity = self.size
        if self.ref_count < self.ref_capacity:
            smaller = realloc(self.refs, max(1, self.ref_count) * sizeof(RowsRef))
            if smaller != NULL:
                self.refs = <RowsRef*>smaller
                self.ref_capacity = self.ref_count

    cdef bint weighs(self, size_t least) except -1:
        """Return whether it weighs so much; its rows are only counted where its bytes do not tell."""
        cdef size_t most
        if self.size >= least:
            return True
        most = BYTES_MIN * self.size    # An image has a byte at least, and an event's head two.
        if self.savepoints is not None:
            most += SAVEPOINT_BYTES * len(self.savepoints)
        return most >= least and self.weigh() >= least

    cdef size_t weigh(self) except? 0:
        """Return the sum of what its events and savepoints weigh; each event is looked at once."""
        cdef TableMap table
        cdef RowsRef* ref
        while self.weighed < self.ref_count:
            ref = &self.refs[self.weighed]
            table = self.tables[ref.table]
            self.weight += weight_of(
                self.refs, self.weighed, table.images(self.data + ref.offset, ref.length, ref.kind))
            self.weighed += 1
        return self.weight + (SAVEPOINT_BYTES * len(self.savepoints) if self.savepoints is not None else 0)

    def append(self, TableMap table not None, uint8_t kind, const uint8_t[::1] body not None, uint8_t flags=0):
        """Add rows in the form of ``events``, for whoever has them and no log."""
        if self.complete:
            raise RuntimeError("a transaction that is complete takes no more rows")
        self.add_rows(table, &body[0], body.shape[0], kind, flags)

    def finish(self):
        """Say that no rows follow."""
        self.complete = True
        self.trim()

    def note(self, statement):
        """Keep a statement for those who know the rules."""
        self.noted += (statement,)

    def set_savepoint(self, name):
        """Note how far the transaction is, under a name that is no other's any more; "" may be any, and ends all."""
        if self.savepoints is None or not name:
            self.savepoints = {}
        if name:
            self.weigh()
            self.savepoints.pop(name, None)
            self.savepoints[name] = (self.ref_count, self.size, self.weight, len(self.tables))

    def undo_to(self, name):
        """Take back the rows after a savepoint; return False where it is not in this part of the transaction."""
        if self.savepoints is None or name not in self.savepoints:
            return False
        ref_count, size, weight, tables = self.savepoints[name]
        self.cut(ref_count, size, tables)
        self.weighed, self.weight = ref_count, weight
        later = list(self.savepoints)
        for other in later[later.index(name) + 1:]:
            del self.savepoints[other]
        return True

    def undo(self):
        """Take back every row: the transaction ends in ROLLBACK."""
        self.rolled_back = True
        self.cut(0, 0, 0)
        self.weighed = self.weight = 0

    cdef int cut(self, int ref_count, size_t size, Py_ssize_t tables) except -1:
        cdef int i
        undone = dict.fromkeys(self.undone)
        for i in range(ref_count, self.ref_count):
            undone[self.tables[self.refs[i].table]] = None
        self.undone = tuple(undone)
        self.ref_count = ref_count
        self.size = size
        del self.tables[tables:]
        self.places = None
        return 0

    @property
    def is_announcement(self):
        """Whether cdcd announces a schema change with it."""
        return bool(self.tables) and (<TableMap>self.tables[0]).is_announcement

    @property
    def coordinates(self):
        """Where in its source's log it ends; a part that is not the last ends at an unknown place."""
        return Coordinates(self.log[0], self.log[1], self.offset, self.timestamp, self.log[2])

    @property
    def events(self):
        """The rows events as (table, kind, body) for tests and tools; kind is one of ``model.change``."""
        return [
            (self.tables[self.refs[i].table], self.refs[i].kind,
             self.data[self.refs[i].offset:self.refs[i].offset + self.refs[i].length])
            for i in range(self.ref_count)
        ]
