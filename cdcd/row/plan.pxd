from libc.stdint cimport uint64_t

from cdcd.row.key cimport UniqueKey
from cdcd.row.layout cimport Layout
from cdcd.row.transaction cimport TableMap, Transaction


cdef enum:
    RECENT = 64     # a power of two


cdef class Route:
    cdef readonly tuple source              # (database, table)
    cdef readonly tuple target              # (database, table), or None: the link does not carry it
    cdef readonly object row_filter         # of a row's values, or None: every row passes
    cdef int operations                     # bits 1 << INSERT, UPDATE, DELETE


cdef class TargetPlan:
    cdef readonly object table              # model.table.Table
    cdef readonly tuple name                # (database, table)
    cdef readonly tuple columns             # model.table.Column for each column of the layout; None: not written
    cdef readonly list keys                 # every UniqueKey that the log shows, the row key first
    cdef readonly UniqueKey row_key         # which finds rows, or None
    cdef readonly object row_index          # that key, as model.table.Key
    cdef readonly bint is_ordered           # applied in source order, not as net changes
    cdef readonly bint has_alternatives     # unique keys besides the row key
    cdef readonly bint is_identical         # both sides define the carried columns alike
    cdef readonly bint takes_images         # each byte of a row image means the same to it
    cdef readonly bint splits_updates       # an update of a key may go as a delete and an insert
    cdef readonly tuple defaults            # of each column, alike on both sides: "stated", "implicit"; else None
    cdef readonly bytes definition          # as its server wrote it when the plan was made
    cdef readonly uint64_t group            # tables with the same number are kept together; 0: none
    cdef public object writing              # what the writers have made of it, and know of the table; None at first


cdef class Plan:
    cdef readonly Layout layout
    cdef readonly Route route
    cdef readonly TargetPlan target
    cdef readonly bint is_carried
    cdef public bint is_unaltered           # proven: since rows that leave columns out, the source's table is the same


cdef class Plans:
    cdef readonly long long version
    cdef dict _plans                        # TableMap -> Plan
    cdef void* _tables[RECENT]              # of ``_plans``, by address: those asked about last
    cdef void* _recent[RECENT]              # their plans
    cpdef Plan find(self, TableMap table)
    cpdef bint carries(self, Transaction transaction) except -1
