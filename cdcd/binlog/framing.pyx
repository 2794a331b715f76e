# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Cut the bytes of a server's answers into packets.

A packet: 3 bytes of length, 1 of sequence, the payload; one of 2^24-1 bytes goes on in the next (MariaDB Knowledge
Base, "0-Packet").
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from cdcd.errors import MalformedEvent

cdef enum:
    PACKET_MAX = 0xFFFFFF
    BUFFER_KEPT = 4 * 1024 * 1024
    PAYLOAD_MAX = 0x7FFFFFFF


cdef inline uint32_t _u32(const uint8_t* p) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, p, 4)
    return value


cdef class Framing:
    """Holds what has come of a packet that is not whole yet; hands each whole one on, to :meth:`packet`.

    Where that sets ``_rests``, the packets after it stay until :meth:`consume` is called again.
    """

    def __dealloc__(self):
        free(self._buffer)

    cdef int packet(self, const uint8_t* payload, size_t length) except -1:
        """Take a packet's payload; whoever inherits reads it."""
        raise NotImplementedError

    cdef int append(self, const uint8_t* data, size_t size) except -1:
        cdef size_t capacity
        cdef void* grown
        if self._length + size > self._capacity:
            capacity = max(self._length + size, self._capacity * 2)
            grown = realloc(self._buffer, capacity)
            if grown == NULL:
                raise MemoryError(f"no memory for an event of {capacity} bytes")
            self._buffer = <uint8_t*>grown
            self._capacity = capacity
        memcpy(self._buffer + self._length, data, size)
        self._length += size
        return 0

    cdef int consume(self) except -1:
        cdef size_t at = 0, length, step
        cdef uint8_t* payload
        self._rests = False
        try:
            while not self._rests and self._length - at >= 4:
                length = self._payload_length(at, &step)
                if step == 0:
                    break
                payload = self._buffer + at + 4
                at += step
                self.packet(payload, length)
        finally:
            if at:
                memmove(self._buffer, self._buffer + at, self._length - at)
                self._length -= at
                if self._capacity > BUFFER_KEPT and self._length < BUFFER_KEPT // 4:
                    self._buffer = <uint8_t*>realloc(self._buffer, BUFFER_KEPT)
                    self._capacity = BUFFER_KEPT
        return 0

    cdef size_t _payload_length(self, size_t at, size_t* step) except? 0:
        """Return the payload's length and, in ``step``, all it occupies; 0 while a part is missing.

        A payload over several packets is closed up in place once all of it is here.
        """
        cdef size_t start = at, total = 0, length, end
        step[0] = 0
        while True:
            if self._length - at < 4:
                return 0
            length = _u32(self._buffer + at) & 0xFFFFFF
            if self._length - at - 4 < length:
                return 0
            at += 4 + length
            total += length
            if total > PAYLOAD_MAX:
                raise MalformedEvent(f"an event of more than {PAYLOAD_MAX} bytes")
            if length < PACKET_MAX:
                break
        step[0] = at - start
        if at - start > total + 4:
            end = start + 4 + PACKET_MAX
            at = end
            while end < start + 4 + total:
                length = _u32(self._buffer + at) & 0xFFFFFF
                memmove(self._buffer + end, self._buffer + at + 4, length)
                end += length
                at += 4 + length
        return total
