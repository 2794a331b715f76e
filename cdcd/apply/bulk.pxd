from libc.stdint cimport uint8_t

from cdcd.binlog.rows cimport Image, Plan
from cdcd.binlog.values cimport Out


cdef bytes parameter_types(Plan plan, const uint8_t* present)
cdef int put_parameters(Out out, Plan plan, Image image) except -1
