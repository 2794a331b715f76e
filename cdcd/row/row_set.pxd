from libc.stdint cimport uint8_t

from cdcd.row.layout cimport Change, Image
from cdcd.row.plan cimport Plan


cdef class RowSet:
    cdef readonly Plan plan
    cdef readonly uint8_t kind
    cdef readonly bint is_net
    cdef readonly bint foreign_keys_off     # the source's session had foreign_key_checks = 0
    cdef readonly size_t count
    cdef size_t capacity
    cdef const uint8_t** starts             # of each change's image before, and after
    cdef const uint8_t** bitmaps            # of the columns that these carry; NULL while that is all of them
    cdef int add(self, Image before, Image after) except -1
    cdef Change change(self, size_t at) noexcept
    cdef int _grow(self) except -1
    cdef int _keep_bitmaps(self) except -1
