from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cdcd.row.transaction cimport TableMap, Transaction


cdef class Assembler:
    cdef readonly size_t transaction_bytes_max
    cdef readonly long long suppressed
    cdef readonly long long suppressed_outside  # of these, what changed a table outside database cdcd
    cdef readonly bint open_parts           # parts of an unfinished transaction have been handed on
    cdef readonly Transaction open          # begun, and not ended
    cdef Transaction last                   # ended last, since ``take``
    cdef bint skipping                      # what is left of the open one is a link's own, and not carried
    cdef double received                    # when what is read now came
    cdef object _relay_except
    cdef bint _outside                      # the open one, a link's own, changes a table outside database cdcd
    cdef dict _maps                         # TABLE_MAP body -> TableMap
    cdef list _recent                       # the TableMaps met last
    cdef dict _ids                          # table id -> TableMap, of the open transaction
    cdef list _done
    cdef public dict passed                 # stream -> the last that was a link's own, since one was handed on
    cdef size_t done_size                   # bytes of the rows in those
    cdef int begin(self, gtid, uint32_t timestamp, bint has_returned) except -1
    cdef int table(self, const uint8_t* body, size_t length) except -1
    cdef int pass_table(self, const uint8_t* body, size_t length) except -1
    cdef int rows(self, uint64_t table_id, uint8_t flags, const uint8_t* body, size_t length, uint8_t kind) except -1
    cdef bint statement(self, found) except -1
    cdef int pass_statement(self, found) except -1
    cdef int end(self, tuple log, uint64_t offset) except -1
    cdef int drop(self) except -1
    cdef list take(self)
    cdef TableMap _known_table(self, const uint8_t* body, size_t length)
    cdef int _forget_tables(self) except -1
    cdef int _relayed(self, TableMap table, bytes body, uint8_t kind) except -1
    cdef int _hand_on_part(self) except -1
    cdef int _tell_passed(self, Transaction next) except -1
    cdef int _take_back_parts(self) except -1
