from libc.stdint cimport uint8_t

from cdcd.row.row_set cimport RowSet


cdef class Statement:
    cdef readonly bytes sql
    cdef readonly uint8_t kind
    cdef readonly size_t rows
    cdef readonly size_t first
    cdef readonly long long matched
    cdef readonly bint is_exact     # anything but ``matched`` means that the change did not happen
    cdef readonly bint is_lenient   # a value of it is refused by a strict server, and fits
    cdef readonly RowSet row_set
