from libc.stdint cimport uint8_t, uint32_t

from cdcd.row.layout cimport Layout
from cdcd.row.plan cimport Plan, TargetPlan
from cdcd.row.values cimport Out


cdef class Writing:
    cdef readonly bytes table_sql           # quoted, with its database
    cdef readonly bytes row_key_sql         # the quoted name of the row key's index
    cdef readonly list name_sql             # quoted column names; None: not written
    cdef readonly list introducers          # b"_latin1" and the like, b"" for binary
    cdef readonly bytes row_event_map       # a TABLE_MAP body for row events of the table, or None
    cdef public long long opens             # tables that the server had opened when the plan was last seen right; or -1
    cdef Layout layout
    cdef TargetPlan target
    cdef uint8_t* flags
    cdef bint writes(self, int column) noexcept
    cdef bint is_row_key(self, int column) noexcept
    cdef bint is_renewed(self, int column) noexcept
    cdef int render(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1
    cdef int _render_bytes(self, Out out, int column, const uint8_t* p, size_t length) except -1
    cdef int render_stored(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1


cpdef Writing writing_of(Plan plan)
