from libc.stdint cimport uint8_t


cdef class Framing:
    cdef uint8_t* _buffer
    cdef size_t _length, _capacity
    cdef bint _rests            # what is held is left for later
    cdef int append(self, const uint8_t* data, size_t size) except -1
    cdef int consume(self) except -1
    cdef int packet(self, const uint8_t* payload, size_t length) except -1
    cdef size_t _payload_length(self, size_t at, size_t* step) except? 0
