from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum:
    FOLD_EXACT = 0    # equal bytes are equal values, and the other way round
    FOLD_FLOAT = 1    # but for -0.0
    FOLD_PAD = 2      # binary collation with pad space
    FOLD_ASCII = 3    # case-insensitive: decidable while the text is printable ASCII
    FOLD_NEVER = 4    # equality cannot be proven here


cdef class UniqueKey:
    cdef readonly tuple columns
    cdef readonly bint is_exact
    cdef int count
    cdef int* indexes
    cdef uint32_t* prefixes
    cdef uint8_t* folds
    cdef uint64_t seed


cdef uint64_t hash_bytes(uint64_t state, const uint8_t* p, size_t length) noexcept
cdef uint64_t hash_float(uint64_t state, const uint8_t* data, size_t length) noexcept
cdef uint64_t hash_text(uint64_t state, const uint8_t* data, size_t length, size_t prefix, bint fold,
                        bint* unproven) noexcept
