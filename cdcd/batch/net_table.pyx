# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One table's rows as a batch leaves them, however often they changed in it."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc

from cdcd.row.key cimport UniqueKey
from cdcd.row.layout cimport Image, end_of
from cdcd.row.plan cimport Plan


cdef class NetTable:
    """The net rows of one table, found by their row key's bytes.

    A key's hash for the write set is coarse where a collation is; rows are looked up by every byte, so that
    text that the write set cannot tell apart does not make the lookup slow.
    """

    def __cinit__(self, Plan plan):
        self.plan = plan
        self.layout = plan.layout
        self.target = plan.target
        key = plan.target.row_key
        self.identity = UniqueKey([(i, 0, "exact") for i in key.columns], 1) if key is not None else None
        self.count = 0
        self.capacity = 64
        self.slot_count = 256
        self.rows = <NetRow*>malloc(self.capacity * sizeof(NetRow))
        self.slots = <int32_t*>calloc(self.slot_count, sizeof(int32_t))
        self.key_offsets = <uint32_t*>malloc(max(1, self.layout.count) * sizeof(uint32_t))
        if self.rows == NULL or self.slots == NULL or self.key_offsets == NULL:
            raise MemoryError("no memory for a batch")

    def __dealloc__(self):
        free(self.rows)
        free(self.slots)
        free(self.key_offsets)

    cdef NetRow* find(self, const uint8_t* start, uint32_t* offsets, bint* is_new) except NULL:
        """Return the net row with this key, made anew when there is none."""
        cdef uint64_t hash = self.layout.hash_key(self.identity, start, offsets, &self.unproven)
        cdef size_t mask = self.slot_count - 1
        cdef size_t at = hash & mask
        cdef NetRow* row
        while self.slots[at]:
            row = &self.rows[self.slots[at] - 1]
            if row.hash == <uint32_t>hash and self._same(row, start, offsets):
                is_new[0] = False
                return row
            at = (at + 1) & mask
        if self.count == self.capacity:
            self._grow()
            return self.find(start, offsets, is_new)
        row = &self.rows[self.count]
        self.count += 1
        self.slots[at] = self.count
        row.hash = <uint32_t>hash
        is_new[0] = True
        return row

    cdef Image image(self, const uint8_t* start) noexcept:
        """Return a net row's image; only whole rows become net rows."""
        return Image(start, self.layout.every_column)

    cdef void release(self) noexcept:
        """Give back the memory of rows that are in row sets now."""
        free(self.rows)
        free(self.slots)
        self.rows = NULL
        self.slots = NULL
        self.count = 0

    cdef void break_up(self) noexcept:
        """Apply the table's changes in source order, by one writer: they do not merge to net rows."""
        self.broken = self.unproven = True

    cdef bint _same(self, NetRow* row, const uint8_t* start, uint32_t* offsets) except -1:
        cdef Image key = self.image(row.key)
        self.layout.locate(key, end_of(key), self.key_offsets)
        return self.layout.same_key(self.target.row_key, row.key, self.key_offsets, start, offsets)

    cdef int _grow(self) except -1:
        cdef size_t i, at, mask
        cdef void* grown = realloc(self.rows, 2 * self.capacity * sizeof(NetRow))
        if grown == NULL:
            raise MemoryError("no memory for a batch's rows")
        self.rows = <NetRow*>grown
        self.capacity *= 2
        free(self.slots)
        self.slot_count = 2 * self.capacity
        self.slots = <int32_t*>calloc(self.slot_count, sizeof(int32_t))
        if self.slots == NULL:
            raise MemoryError("no memory for a batch's rows")
        mask = self.slot_count - 1
        for i in range(self.count):
            at = self.rows[i].hash & mask
            while self.slots[at]:
                at = (at + 1) & mask
            self.slots[at] = i + 1
        return 0
