# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Rows as the parameters of one prepared statement, as MariaDB's bulk protocol takes them.

The server parses the statement once, and no value's text: about twice as fast for it as rows in SQL.
MariaDB Knowledge Base, "COM_STMT_BULK_EXECUTE" and "COM_STMT_EXECUTE" (binary parameters). Each value has
the type that its SQL text would have, so that the server converts both alike; text travels as the bytes
that the column stores, so a plan's text columns must have the source's charset on the target
(``Plan.is_bulk``).
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cdcd.binlog.rows cimport (
    ABSENT, F_PADDED, F_UNSIGNED, NULL_VALUE, R_BINARY, R_BIT, R_DECIMAL, R_DOUBLE, R_ENUM, R_FLOAT, R_INT,
    R_SET, R_TEXT, R_UUID, R_YEAR, Image, Plan,
)
from cdcd.binlog.values cimport Out, big_endian, little_endian

cdef enum:
    TYPE_LONG = 3
    TYPE_DOUBLE = 5
    TYPE_LONGLONG = 8
    TYPE_NEWDECIMAL = 246
    TYPE_BLOB = 252
    TYPE_STRING = 254
    UNSIGNED = 0x80
    HERE = 0            # a value follows
    NULL_HERE = 1


cdef bytes parameter_types(Plan plan, const uint8_t* present):
    """Return two bytes for each column that the images carry and the target takes: a type and its sign."""
    cdef int i
    cdef Out out = Out()
    for i in range(plan.count):
        if plan.writes(i) and present[i >> 3] >> (i & 7) & 1:
            out.put_char(_type(plan, i))
            out.put_char(UNSIGNED if _is_unsigned(plan, i) else 0)
    return out.take()


cdef uint8_t _type(Plan plan, int column) noexcept:
    cdef uint8_t kind = plan.renderings[column]
    if kind == R_INT:
        return TYPE_LONG if plan.sizes[column] <= 4 else TYPE_LONGLONG
    if kind in (R_SET, R_ENUM, R_BIT, R_YEAR):
        return TYPE_LONGLONG
    if kind in (R_FLOAT, R_DOUBLE):
        return TYPE_DOUBLE
    if kind in (R_TEXT, R_BINARY, R_UUID):
        return TYPE_BLOB
    return TYPE_NEWDECIMAL if kind == R_DECIMAL else TYPE_STRING


cdef bint _is_unsigned(Plan plan, int column) noexcept:
    cdef uint8_t kind = plan.renderings[column]
    if kind == R_INT:
        return plan.flags[column] & F_UNSIGNED
    # Servers compare a SET of 64 members as a signed number.
    return kind in (R_BIT, R_YEAR, R_ENUM) or (kind == R_SET and plan.sizes[column] < 8)


cdef int put_parameters(Out out, Plan plan, Image image) except -1:
    """Write one row; its plan's ``offsets_after`` must be those of the image."""
    cdef int i
    cdef uint32_t offset
    for i in range(plan.count):
        offset = plan.offsets_after[i]
        if not plan.writes(i) or offset == ABSENT:
            continue
        if offset == NULL_VALUE:
            out.put_char(NULL_HERE)
        else:
            out.put_char(HERE)
            _put_value(out, plan, i, image.start, offset)
    return 0


cdef int _put_value(Out out, Plan plan, int column, const uint8_t* start, uint32_t offset) except -1:
    cdef const uint8_t* p
    cdef size_t length = plan.value_at(column, start, offset, &p)
    cdef uint8_t kind = plan.renderings[column]
    cdef uint64_t number
    cdef double wide
    cdef float narrow
    if kind == R_INT:
        number = _integer(p, length, plan.flags[column] & F_UNSIGNED)
        return out.put(<const uint8_t*>&number, 4 if length <= 4 else 8)
    if kind in (R_TEXT, R_BINARY, R_UUID):
        return _put_bytes(out, p, length, plan.details[column] if plan.flags[column] & F_PADDED else 0)
    if kind == R_FLOAT:
        memcpy(&narrow, p, 4)
        wide = narrow
        return out.put(<const uint8_t*>&wide, 8)
    if kind == R_DOUBLE:
        return out.put(p, 8)
    if kind in (R_SET, R_ENUM):
        number = little_endian(p, length)
        out.has_error_value |= kind == R_ENUM and number == 0
        return out.put(<const uint8_t*>&number, 8)
    if kind in (R_BIT, R_YEAR):
        number = big_endian(p, length) if kind == R_BIT else 1900 + p[0] if p[0] else 0
        return out.put(<const uint8_t*>&number, 8)
    return _put_text(out, plan, column, start, offset)


cdef uint64_t _integer(const uint8_t* p, size_t length, bint is_unsigned) noexcept:
    """Widen a little-endian number."""
    cdef uint64_t value = little_endian(p, length)
    cdef int shift = 64 - 8 * length
    return value if is_unsigned else <uint64_t>(<int64_t>(value << shift) >> shift)


cdef int _put_length(Out out, uint64_t length) except -1:
    """Write a length-encoded integer (MariaDB Knowledge Base, "Protocol data types")."""
    if length < 251:
        return out.put_char(length)
    cdef int size = 2 if length < 1 << 16 else 3 if length < 1 << 24 else 8
    out.put_char(252 if size == 2 else 253 if size == 3 else 254)
    return out.put(<const uint8_t*>&length, size)


cdef int _put_bytes(Out out, const uint8_t* p, size_t length, size_t padded) except -1:
    cdef size_t _missing
    _put_length(out, max(length, padded))
    out.put(p, length)
    for _missing in range(length, padded):
        out.put_char(0)
    return 0


cdef int _put_text(Out out, Plan plan, int column, const uint8_t* start, uint32_t offset) except -1:
    """Write a temporal value or a decimal as the text that a statement would hold, without quotes.

    Such a text is short, so its length takes one byte: that of the opening quote.
    """
    cdef size_t at = out.size
    if plan.renderings[column] == R_DECIMAL:
        out.put_char(0)
        plan.render(out, column, start, offset)
    else:
        plan.render(out, column, start, offset)
        out.size -= 1
    out.data[at] = out.size - at - 1
    return 0
