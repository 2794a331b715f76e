# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Changes of one kind to one table, as references into the bytes of the transactions that they came with."""

cimport cython
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc, realloc

from cdcd.row.layout cimport Change, Image
from cdcd.row.plan cimport Plan


@cython.final
cdef class RowSet:
    """Changes of one kind to one table, as references into their transactions' bytes.

    Whoever holds it must hold the transactions. ``is_net`` says that the changes are net: no two touch one
    row, and their order does not matter.
    """

    def __cinit__(self, Plan plan, uint8_t kind, bint is_net, bint foreign_keys_off=False):
        self.plan = plan
        self.foreign_keys_off = foreign_keys_off
        self.kind = kind
        self.is_net = is_net
        self.count = self.capacity = 0
        self.starts = self.bitmaps = NULL

    def __dealloc__(self):
        free(self.starts)
        free(self.bitmaps)

    def __len__(self):
        return self.count

    cdef int add(self, Image before, Image after) except -1:
        cdef const uint8_t* whole = self.plan.layout.every_column
        if self.count == self.capacity:
            self._grow()
        if self.bitmaps == NULL and ((before.start != NULL and before.present != whole)
                                     or (after.start != NULL and after.present != whole)):
            self._keep_bitmaps()
        self.starts[2 * self.count] = before.start
        self.starts[2 * self.count + 1] = after.start
        if self.bitmaps != NULL:
            self.bitmaps[2 * self.count] = before.present
            self.bitmaps[2 * self.count + 1] = after.present
        self.count += 1
        return 0

    cdef Change change(self, size_t at) noexcept:
        """Return a change; of an image that it does not have, the start is NULL."""
        cdef const uint8_t* whole = self.plan.layout.every_column
        cdef const uint8_t** starts = self.starts + 2 * at
        if self.bitmaps == NULL:
            return Change(Image(starts[0], whole), Image(starts[1], whole))
        return Change(Image(starts[0], self.bitmaps[2 * at]), Image(starts[1], self.bitmaps[2 * at + 1]))

    cdef int _grow(self) except -1:
        cdef size_t capacity = max(<size_t>8, self.capacity * 2)
        cdef void* grown = realloc(self.starts, capacity * 2 * sizeof(void*))
        if grown == NULL:
            raise MemoryError("no memory for a batch's rows")
        self.starts = <const uint8_t**>grown
        if self.bitmaps != NULL:
            grown = realloc(self.bitmaps, capacity * 2 * sizeof(void*))
            if grown == NULL:
                raise MemoryError("no memory for a batch's rows")
            self.bitmaps = <const uint8_t**>grown
        self.capacity = capacity
        return 0

    cdef int _keep_bitmaps(self) except -1:
        cdef size_t i
        self.bitmaps = <const uint8_t**>malloc(self.capacity * 2 * sizeof(void*))
        if self.bitmaps == NULL:
            raise MemoryError("no memory for a batch's rows")
        for i in range(2 * self.count):
            self.bitmaps[i] = self.plan.layout.every_column
        return 0
