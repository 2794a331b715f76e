from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef class Out:
    cdef uint8_t* data
    cdef size_t size
    cdef size_t capacity
    cdef bint needs_lenience            # it holds what a strict server refuses of whatever statement
    cdef int reserve(self, size_t more) except -1
    cdef int put(self, const uint8_t* text, size_t length) except -1
    cdef int put_bytes(self, bytes text) except -1
    cdef int put_char(self, uint8_t char) except -1
    cdef int put_number(self, uint64_t value) except -1
    cdef bytes take(self)


cdef inline uint64_t big_endian(const uint8_t* p, int length) noexcept:
    cdef uint64_t value = 0
    cdef int i
    for i in range(length):
        value = value << 8 | p[i]
    return value


cdef inline uint64_t little_endian(const uint8_t* p, int length) noexcept:
    cdef uint64_t value = 0
    memcpy(&value, p, length)
    return value


cdef int render_int(Out out, const uint8_t* p, size_t length, bint is_unsigned) except -1
cdef int render_text(Out out, const uint8_t* p, size_t length) except -1
cdef int render_binary(Out out, bytes introducer, const uint8_t* p, size_t length, size_t padded) except -1
cdef int render_decimal(Out out, const uint8_t* p, int precision, int scale) except -1
cdef int render_date(Out out, const uint8_t* p) except -1
cdef int render_datetime(Out out, const uint8_t* p, int digits) except -1
cdef int render_timestamp(Out out, const uint8_t* p, int digits) except -1
cdef int render_time(Out out, const uint8_t* p, int digits) except -1
cdef int render_double(Out out, const uint8_t* p, bint narrow) except -1
cdef int decimal_size(int precision, int scale)
