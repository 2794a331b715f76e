from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from cdcd.row.key cimport UniqueKey
from cdcd.row.layout cimport Image, Layout
from cdcd.row.plan cimport Plan, TargetPlan


cdef struct NetRow:
    const uint8_t* key      # the row as it was before the batch, or its first image when it did not exist
    const uint8_t* after    # the row as it is after the batch; NULL when it is gone
    uint32_t hash
    uint32_t since          # twice the index of its first transaction, and one more where it existed before


cdef inline int32_t transaction_of(NetRow* row) noexcept:
    return row.since >> 1


cdef inline bint existed(NetRow* row) noexcept:
    return row.since & 1


cdef class NetTable:
    cdef Plan plan
    cdef Layout layout          # the plan's
    cdef TargetPlan target      # the plan's
    cdef UniqueKey identity
    cdef NetRow* rows
    cdef int32_t* slots         # row index + 1; 0 is free
    cdef size_t count, capacity, slot_count
    cdef bint broken            # its changes go out in source order
    cdef bint unproven          # keys whose equality is not decidable were met: its transactions stay together
    cdef uint32_t* key_offsets
    cdef NetRow* find(self, const uint8_t* start, uint32_t* offsets, bint* is_new) except NULL
    cdef Image image(self, const uint8_t* start) noexcept
    cdef void release(self) noexcept
    cdef void break_up(self) noexcept
    cdef bint _same(self, NetRow* row, const uint8_t* start, uint32_t* offsets) except -1
    cdef int _grow(self) except -1
