# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Unique keys, and hashes of their values that meet wherever the target would call two values equal."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

_FOLDS = {"exact": FOLD_EXACT, "float": FOLD_FLOAT, "pad": FOLD_PAD, "ascii": FOLD_ASCII, "never": FOLD_NEVER}


cdef inline uint64_t _mix(uint64_t a) noexcept:
    a ^= a >> 32
    a *= <uint64_t>0xD6E8FEB86659FD93
    a ^= a >> 32
    a *= <uint64_t>0xD6E8FEB86659FD93
    return a ^ (a >> 32)


cdef uint64_t hash_bytes(uint64_t state, const uint8_t* p, size_t length) noexcept:
    cdef uint64_t word
    state = _mix(state ^ length)
    while length >= 8:
        memcpy(&word, p, 8)
        state = _mix(state ^ word) + <uint64_t>0x9E3779B97F4A7C15
        p += 8
        length -= 8
    if length:
        word = 0
        memcpy(&word, p, length)
        state = _mix(state ^ word) + <uint64_t>0x9E3779B97F4A7C15
    return state


cdef class UniqueKey:
    """A unique index of the target: its columns' places, prefixes, and how equality is decided.

    ``parts`` are (column index, prefix length in characters or 0, fold), fold being one of exact, float,
    pad, ascii, never. ``seed`` tells keys apart.
    """

    def __cinit__(self, list parts, uint64_t seed):
        self.count = len(parts)
        self.columns = tuple(part[0] for part in parts)
        self.is_exact = all(part[2] == "exact" and not part[1] for part in parts)
        self.seed = _mix(seed)
        self.indexes = <int*>malloc(max(1, self.count) * sizeof(int))
        self.prefixes = <uint32_t*>malloc(max(1, self.count) * sizeof(uint32_t))
        self.folds = <uint8_t*>malloc(max(1, self.count))
        for i, (index, prefix, fold) in enumerate(parts):
            self.indexes[i] = index
            self.prefixes[i] = prefix
            self.folds[i] = _FOLDS[fold]

    def __dealloc__(self):
        free(self.indexes)
        free(self.prefixes)
        free(self.folds)


cdef uint64_t hash_float(uint64_t state, const uint8_t* data, size_t length) noexcept:
    cdef float narrow
    cdef double wide
    if length == 4:
        memcpy(&narrow, data, 4)
        wide = narrow
    else:
        memcpy(&wide, data, 8)
    if wide == 0:
        wide = 0
    return hash_bytes(state, <const uint8_t*>&wide, 8)


cdef uint64_t hash_text(uint64_t state, const uint8_t* data, size_t length, size_t prefix, bint fold,
                        bint* unproven) noexcept:
    """Hash text coarsely enough: a prefix of N characters has at least N bytes, trailing spaces do not count."""
    cdef uint64_t word = 0
    cdef size_t i
    cdef uint8_t char
    cdef int filled = 0
    if prefix and length > prefix:
        length = prefix
    while length and (data[length - 1] == 32 or data[length - 1] == 0):
        length -= 1
    if not fold:
        return hash_bytes(state, data, length)
    for i in range(length):
        char = data[i]
        if char < 32 or char > 126:
            unproven[0] = True
            return state
        if 65 <= char <= 90:
            char += 32
        word = word << 8 | char
        filled += 1
        if filled == 8:
            state = _mix(state ^ word) + <uint64_t>0x9E3779B97F4A7C15
            word = 0
            filled = 0
    return _mix(state ^ word ^ length)
