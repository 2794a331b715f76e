# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""CRC32 of events, at the speed of memory: every byte of the log passes through it.

Where the processor multiplies polynomials, 64 bytes are folded a step (V. Gopal et al., "Fast CRC Computation
for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009, section "Bit-Reflected"); what is left over,
and elsewhere everything, goes eight bytes a step through tables.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>
    #define CDCD_FOLD(x, k, next) _mm_xor_si128(_mm_xor_si128( \\
        _mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11)), next)
    static int cdcd_can_fold(void) {
        return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    }
    /* The state after n bytes: a multiple of 16, and at least 64. */
    __attribute__((target("pclmul,sse4.1")))
    static uint32_t cdcd_fold(const uint8_t *p, size_t n, uint32_t state) {
        const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
        const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
        const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
        const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
        const __m128i low = _mm_setr_epi32(~0, 0, ~0, 0);
        const __m128i *from = (const __m128i *)p;
        __m128i a = _mm_xor_si128(_mm_loadu_si128(from), _mm_cvtsi32_si128((int)state));
        __m128i b = _mm_loadu_si128(from + 1), c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
        for (from += 4, n -= 64; n >= 64; from += 4, n -= 64) {
            a = CDCD_FOLD(a, by_512, _mm_loadu_si128(from));
            b = CDCD_FOLD(b, by_512, _mm_loadu_si128(from + 1));
            c = CDCD_FOLD(c, by_512, _mm_loadu_si128(from + 2));
            d = CDCD_FOLD(d, by_512, _mm_loadu_si128(from + 3));
        }
        a = CDCD_FOLD(a, by_128, b);
        a = CDCD_FOLD(a, by_128, c);
        a = CDCD_FOLD(a, by_128, d);
        for (; n >= 16; from++, n -= 16)
            a = CDCD_FOLD(a, by_128, _mm_loadu_si128(from));
        a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by_128, 0x10));
        a = _mm_xor_si128(_mm_srli_si128(a, 4), _mm_clmulepi64_si128(_mm_and_si128(a, low), by_64, 0x00));
        b = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low), barrett, 0x10), low);
        a = _mm_xor_si128(a, _mm_clmulepi64_si128(b, barrett, 0x00));
        return (uint32_t)_mm_extract_epi32(a, 1);
    }
    #else
    static int cdcd_can_fold(void) { return 0; }
    static uint32_t cdcd_fold(const uint8_t *p, size_t n, uint32_t state) { (void)p; (void)n; return state; }
    #endif
    """
    int _can_fold "cdcd_can_fold"() nogil
    uint32_t _fold "cdcd_fold"(const uint8_t* p, size_t n, uint32_t state) nogil

cdef bint _folds = _can_fold()
cdef uint32_t[8][256] _table


cdef void _fill_table() noexcept:
    cdef uint32_t value
    cdef int i, k, _bit
    for i in range(256):
        value = i
        for _bit in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
        _table[0][i] = value
    for i in range(256):
        value = _table[0][i]
        for k in range(1, 8):
            value = _table[0][value & 0xFF] ^ (value >> 8)
            _table[k][i] = value


_fill_table()


cdef uint32_t crc32(const uint8_t* p, size_t n) noexcept nogil:
    cdef uint32_t state = ~<uint32_t>0
    cdef size_t folded = n & ~<size_t>15
    if _folds and folded >= 64:
        state = _fold(p, folded, state)
        p += folded
        n -= folded
    return ~_by_table(p, n, state)


cdef uint32_t _by_table(const uint8_t* p, size_t n, uint32_t state) noexcept nogil:
    cdef uint32_t low, high
    while n >= 8:
        memcpy(&low, p, 4)
        memcpy(&high, p + 4, 4)
        low ^= state
        state = (_table[7][low & 0xFF] ^ _table[6][(low >> 8) & 0xFF]
                 ^ _table[5][(low >> 16) & 0xFF] ^ _table[4][low >> 24]
                 ^ _table[3][high & 0xFF] ^ _table[2][(high >> 8) & 0xFF]
                 ^ _table[1][(high >> 16) & 0xFF] ^ _table[0][high >> 24])
        p += 8
        n -= 8
    while n:
        state = _table[0][(state ^ p[0]) & 0xFF] ^ (state >> 8)
        p += 1
        n -= 1
    return state


def of(const uint8_t[::1] content, *, bint folding=True):
    """Return the CRC32 of bytes; without ``folding``, as a processor that lacks the instruction computes it."""
    if content.shape[0] == 0:
        return 0
    if folding:
        return crc32(&content[0], content.shape[0])
    return <uint32_t>~_by_table(&content[0], content.shape[0], ~<uint32_t>0)
