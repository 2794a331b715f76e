from libc.stdint cimport uint8_t

from cdcd.row.layout cimport Image, Layout
from cdcd.row.plan cimport Plan, Route
from cdcd.row.row_set cimport RowSet
from cdcd.row.transaction cimport RowsRef, Transaction


cdef class Rows:
    cdef Layout layout
    cdef Route route
    cdef Transaction transaction
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef const uint8_t* present_before
    cdef const uint8_t* present_after
    cdef uint8_t event_kind
    cdef bint is_full
    cdef uint8_t kind
    cdef Image before, after
    cdef int open(self, Plan plan, Transaction transaction, RowsRef* ref) except -1
    cdef int _column_count(self) except -1
    cdef bint next(self) except -1
    cdef bint _filter(self) except -1
    cdef bint _passes(self, Image image) except -1


cdef class OrderedRows:
    cdef list steps
    cdef dict plans     # TableMap -> Plan, of those to take; a table that is not in it is passed over
    cdef Rows rows
    cdef RowSet last
    cdef int add(self, Transaction transaction) except -1
