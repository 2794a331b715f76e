# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Write values as SQL text, from their bytes in the log.

Storage formats: ``sql/field.cc`` and ``sql-common/my_time.c`` of MariaDB; each function names its own.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from cdcd.errors import MalformedEvent

cdef int[10] _DIGIT_BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]


cdef class Out:
    """A growing run of bytes; SQL is written into it."""

    def __cinit__(self):
        self.data = NULL
        self.size = self.capacity = 0
        self.needs_lenience = False

    def __dealloc__(self):
        free(self.data)

    cdef int reserve(self, size_t more) except -1:
        cdef size_t capacity
        cdef void* grown
        if self.size + more > self.capacity:
            capacity = max(self.size + more, self.capacity * 2, <size_t>4096)
            grown = realloc(self.data, capacity)
            if grown == NULL:
                raise MemoryError(f"no memory for a statement of {capacity} bytes")
            self.data = <uint8_t*>grown
            self.capacity = capacity
        return 0

    cdef int put(self, const uint8_t* text, size_t length) except -1:
        self.reserve(length)
        memcpy(self.data + self.size, text, length)
        self.size += length
        return 0

    cdef int put_bytes(self, bytes text) except -1:
        return self.put(<const uint8_t*><const char*>text, len(text))

    cdef int put_char(self, uint8_t char) except -1:
        self.reserve(1)
        self.data[self.size] = char
        self.size += 1
        return 0

    cdef int put_number(self, uint64_t value) except -1:
        cdef uint8_t[20] digits
        cdef int at = 20
        while True:
            at -= 1
            digits[at] = 48 + value % 10
            value //= 10
            if value == 0:
                break
        return self.put(&digits[at], 20 - at)

    cdef bytes take(self):
        cdef bytes text = self.data[:self.size]
        self.size = 0
        return text


cdef inline int _two(uint8_t* to, unsigned int value) noexcept:
    to[0] = 48 + value // 10 % 10
    to[1] = 48 + value % 10
    return 2


cdef int decimal_size(int precision, int scale):
    cdef int whole = precision - scale
    return whole // 9 * 4 + _DIGIT_BYTES[whole % 9] + scale // 9 * 4 + _DIGIT_BYTES[scale % 9]


cdef int render_int(Out out, const uint8_t* p, size_t length, bint is_unsigned) except -1:
    cdef uint64_t value = little_endian(p, length)
    cdef int shift
    if not is_unsigned:
        shift = 64 - 8 * length
        if <int64_t>(value << shift) < 0:
            out.put_char(45)
            value = <uint64_t>0 - <uint64_t>(<int64_t>(value << shift) >> shift)
    return out.put_number(value)


cdef int _escape(Out out, const uint8_t* p, size_t length) except -1:
    """Write bytes between quotes: under a binary client charset only the quote and the backslash matter."""
    cdef size_t i
    cdef uint8_t* to
    out.reserve(2 * length)
    to = out.data + out.size
    for i in range(length):
        if p[i] == 39 or p[i] == 92:
            to[0] = 92
            to += 1
        to[0] = p[i]
        to += 1
    out.size = to - out.data
    return 0


cdef int render_text(Out out, const uint8_t* p, size_t length) except -1:
    out.put_char(39)
    _escape(out, p, length)
    return out.put_char(39)


cdef int render_binary(Out out, bytes introducer, const uint8_t* p, size_t length, size_t padded) except -1:
    out.put_bytes(introducer)
    out.put_char(39)
    _escape(out, p, length)
    while length < padded:
        out.put_char(0)
        length += 1
    return out.put_char(39)


cdef int render_decimal(Out out, const uint8_t* p, int precision, int scale) except -1:
    """Write a packed decimal (``strings/decimal.c``, ``decimal2bin``): groups of nine digits, big-endian."""
    cdef uint8_t[32] plain
    cdef char[100] text
    cdef int size = decimal_size(precision, scale)
    cdef int whole = precision - scale, at = 0, written = 0, i, digits, _group
    cdef bint negative = not p[0] & 0x80
    if size > 32:
        raise MalformedEvent(f"a DECIMAL({precision},{scale})")
    for i in range(size):
        plain[i] = ~p[i] if negative else p[i]
    plain[0] ^= 0x80
    if negative:
        out.put_char(45)
    digits = whole % 9
    if digits:
        written = snprintf(text, 100, b"%llu", <unsigned long long>big_endian(plain, _DIGIT_BYTES[digits]))
        at = _DIGIT_BYTES[digits]
    for _group in range(whole // 9):
        written += snprintf(text + written, 100 - written, b"%09llu" if written else b"%llu",
                            <unsigned long long>big_endian(plain + at, 4))
        at += 4
    if written == 0:
        text[0] = 48
        written = 1
    out.put(<const uint8_t*>text, written)
    if scale == 0:
        return 0
    out.put_char(46)
    written = 0
    for _group in range(scale // 9):
        written += snprintf(text + written, 100 - written, b"%09llu",
                            <unsigned long long>big_endian(plain + at, 4))
        at += 4
    digits = scale % 9
    if digits:
        written += snprintf(text + written, 100 - written, b"%0*llu", digits,
                            <unsigned long long>big_endian(plain + at, _DIGIT_BYTES[digits]))
    return out.put(<const uint8_t*>text, written)


cdef int _put_fraction(Out out, uint32_t microseconds, int digits) except -1:
    cdef char[8] text
    if digits == 0:
        return 0
    snprintf(text, 8, b"%06u", microseconds)
    out.put_char(46)
    return out.put(<const uint8_t*>text, digits)


cdef uint32_t _fraction(const uint8_t* p, int digits) noexcept:
    cdef int length = (digits + 1) // 2
    return big_endian(p, length) * (10000 if length == 1 else 100 if length == 2 else 1)


cdef int _put_date(Out out, unsigned int year, unsigned int month, unsigned int day) except -1:
    cdef uint8_t[10] text
    _two(text, year // 100)
    _two(text + 2, year % 100)
    text[4] = text[7] = 45
    _two(text + 5, month)
    _two(text + 8, day)
    return out.put(text, 10)


cdef int _put_clock(Out out, unsigned int hour, unsigned int minute, unsigned int second) except -1:
    cdef uint8_t[8] text
    if hour > 99:
        out.put_char(48 + hour // 100)
    _two(text, hour % 100)
    text[2] = text[5] = 58
    _two(text + 3, minute)
    _two(text + 6, second)
    return out.put(text, 8)


cdef int render_date(Out out, const uint8_t* p) except -1:
    cdef uint32_t packed = little_endian(p, 3)
    out.put_char(39)
    _put_date(out, packed >> 9, packed >> 5 & 15, packed & 31)
    return out.put_char(39)


cdef int render_datetime(Out out, const uint8_t* p, int digits) except -1:
    """Five bytes, offset binary: year * 13 + month, day, hour, minute, second (``my_datetime_packed_from_binary``)."""
    cdef int64_t packed = <int64_t>big_endian(p, 5) - <int64_t>0x8000000000
    cdef uint32_t days = packed >> 17, clock = packed & 0x1FFFF
    out.put_char(39)
    _put_date(out, (days >> 5) // 13, (days >> 5) % 13, days & 31)
    out.put_char(32)
    _put_clock(out, clock >> 12, clock >> 6 & 63, clock & 63)
    _put_fraction(out, _fraction(p + 5, digits), digits)
    return out.put_char(39)


cdef int render_timestamp(Out out, const uint8_t* p, int digits) except -1:
    """Seconds since 1970 in UTC; the writer's session runs in UTC. Zero stands for the zero date."""
    cdef uint32_t seconds = big_endian(p, 4)
    cdef uint32_t micros = _fraction(p + 4, digits)
    cdef int64_t days, era, year, month, day, of_era, of_year
    out.put_char(39)
    if seconds == 0 and micros == 0:
        _put_date(out, 0, 0, 0)
    else:
        days = seconds // 86400 + 719468
        era = days // 146097
        of_era = days - era * 146097
        year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
        of_year = of_era - (365 * year + year // 4 - year // 100)
        month = (5 * of_year + 2) // 153
        day = of_year - (153 * month + 2) // 5 + 1
        month = month + 3 if month < 10 else month - 9
        _put_date(out, year + era * 400 + (1 if month <= 2 else 0), month, day)
    seconds = seconds % 86400
    out.put_char(32)
    _put_clock(out, seconds // 3600, seconds // 60 % 60, seconds % 60)
    _put_fraction(out, micros, digits)
    return out.put_char(39)


cdef int render_time(Out out, const uint8_t* p, int digits) except -1:
    """Offset binary with the fraction below the point, negative as a whole (``my_time_packed_from_binary``)."""
    cdef int length = (digits + 1) // 2
    cdef int64_t packed = (<int64_t>big_endian(p, 3 + length)) - (<int64_t>0x800000 << 8 * length)
    cdef uint64_t size
    cdef uint32_t clock, micros
    out.put_char(39)
    if packed < 0:
        out.put_char(45)
        packed = -packed
    size = packed
    clock = size >> 8 * length
    micros = size & ((<uint64_t>1 << 8 * length) - 1)
    micros *= 10000 if length == 1 else 100 if length == 2 else 1
    _put_clock(out, clock >> 12 & 0x3FF, clock >> 6 & 63, clock & 63)
    _put_fraction(out, micros, digits)
    return out.put_char(39)


cdef int render_double(Out out, const uint8_t* p, bint narrow) except -1:
    """Seventeen digits: the server's parser returns the very same double, or float."""
    cdef char[40] text
    cdef float small
    cdef double value
    if narrow:
        memcpy(&small, p, 4)
        value = small
    else:
        memcpy(&value, p, 8)
    return out.put(<const uint8_t*>text, snprintf(text, 40, b"%.16e", value))
