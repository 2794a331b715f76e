from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cdcd.row.layout cimport Layout


cdef enum:
    BYTES_MIN = 128     # what an image of a row weighs at least


cdef struct RowsRef:
    uint32_t table      # index into Transaction.tables
    uint32_t offset     # of the rows event's body, in Transaction.data
    uint32_t length
    uint8_t kind        # INSERT, UPDATE or DELETE
    uint8_t flags       # of the rows event: 2 is NO_FOREIGN_KEY_CHECKS


cdef inline size_t weight_of(RowsRef* refs, int at, size_t images) noexcept:
    """Return what a rows event weighs: its bytes, or for narrow rows what stands behind them in a batch.

    A change of table or kind counts as an image: rows that go out in the log's order begin a new set there.
    """
    if at and (refs[at].table != refs[at - 1].table or refs[at].kind != refs[at - 1].kind
               or refs[at].flags != refs[at - 1].flags):
        images += 1
    return max(<size_t>refs[at].length, BYTES_MIN * images)


cdef class TableMap:
    cdef bytes body                     # of the event
    cdef size_t size
    cdef Layout layout                  # to count rows by; None until they are, or where they cannot be
    cdef bint is_looked_at
    cdef readonly object description    # cell.Description
    cdef readonly bint is_marker
    cdef readonly bint is_announcement
    cdef size_t images(self, const uint8_t* body, size_t length, uint8_t kind) except? 0
    cdef Layout _layout(self)


cdef class Transaction:
    cdef readonly object gtid
    cdef readonly uint32_t timestamp
    cdef readonly str origin
    cdef readonly object query
    cdef readonly tuple noted           # statements in it that the decoder cannot carry, as query.Query
    cdef readonly tuple undone          # TableMaps of rows in it that were rolled back
    cdef readonly tuple passed          # transactions before it, each of another stream, that were not handed on
    cdef readonly bint rolled_back
    cdef public bint has_returned       # the link's target has executed it: native replication brought it here
    cdef readonly bint leaves_out       # new rows in it lack columns
    cdef public bint is_judged          # the link's rules let pass what it holds besides rows that stay
    cdef public bint is_planned         # all is known of its tables that can be
    cdef dict savepoints                # name -> what there was before it; None while there are none
    cdef readonly list tables           # each once, in the order in which their rows begin
    cdef dict places                    # TableMap -> its index, where there are many
    cdef readonly int part
    cdef readonly bint complete
    cdef public double received
    cdef tuple log              # the server, the file that it ends in, and when that was begun
    cdef uint64_t offset        # in that file, after its last event; 0: unknown
    cdef uint8_t* data
    cdef readonly size_t size
    cdef size_t capacity
    cdef size_t weight          # of the first ``weighed`` rows events
    cdef int weighed
    cdef RowsRef* refs
    cdef readonly int ref_count
    cdef int ref_capacity
    cdef int place(self, TableMap table) except -1
    cdef void trim(self) noexcept
    cdef bint weighs(self, size_t least) except -1
    cdef size_t weigh(self) except? 0
    cdef int cut(self, int ref_count, size_t size, Py_ssize_t tables) except -1
    cdef int add_rows(self, TableMap table, const uint8_t* body, size_t length, uint8_t kind, uint8_t flags) except -1
