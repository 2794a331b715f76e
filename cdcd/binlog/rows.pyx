# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Walk row images: find a column's bytes, hash keys as the target compares them, write values as SQL.

An image is a bitmap of NULLs over the columns that the event carries, then their values, packed
(MariaDB Knowledge Base, "Rows_event_v1v2"; ``Field::pack`` in ``sql/field.cc``). A value becomes a Python
object only for a row filter, a conflict or a message.
"""

import zlib

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

from decimal import Decimal
from uuid import UUID

from cdcd.binlog import table_map as tm
from cdcd.errors import MalformedEvent, SchemaMismatch, UnsupportedEvent

cdef enum:
    R_INT = 1
    R_FLOAT = 2
    R_DOUBLE = 3
    R_DECIMAL = 4
    R_YEAR = 5
    R_DATE = 6
    R_TIME = 7
    R_DATETIME = 8
    R_TIMESTAMP = 9
    R_BIT = 10
    R_SET = 11
    R_TEXT = 12
    R_BINARY = 13
    R_UUID = 14
    R_COMPRESSED = 15
    R_ENUM = 16

cdef enum:
    F_UNSIGNED = 1
    F_WRITTEN = 2
    F_ROW_KEY = 4
    F_PADDED = 8      # fixed-length binary, UUID, INET4, INET6: the log strips trailing zeros

cdef enum:
    FOLD_EXACT = 0    # equal bytes are equal values, and the other way round
    FOLD_FLOAT = 1    # but for -0.0
    FOLD_PAD = 2      # binary collation with pad space
    FOLD_ASCII = 3    # case-insensitive: decidable while the text is printable ASCII
    FOLD_NEVER = 4    # equality cannot be proven here

_RENDERINGS = {
    tm.TINY: R_INT, tm.SHORT: R_INT, tm.INT24: R_INT, tm.LONG: R_INT, tm.LONGLONG: R_INT,
    tm.FLOAT: R_FLOAT, tm.DOUBLE: R_DOUBLE, tm.NEWDECIMAL: R_DECIMAL, tm.YEAR: R_YEAR, tm.DATE: R_DATE,
    tm.NEWDATE: R_DATE, tm.TIME2: R_TIME, tm.DATETIME2: R_DATETIME, tm.TIMESTAMP2: R_TIMESTAMP, tm.BIT: R_BIT,
    tm.ENUM: R_ENUM, tm.SET: R_SET, tm.GEOMETRY: R_BINARY, tm.BLOB_COMPRESSED: R_COMPRESSED,
    tm.VARCHAR_COMPRESSED: R_COMPRESSED,
}
_INT_BYTES = {tm.TINY: 1, tm.SHORT: 2, tm.INT24: 3, tm.LONG: 4, tm.LONGLONG: 8}
_FOLDS = {"exact": FOLD_EXACT, "float": FOLD_FLOAT, "pad": FOLD_PAD, "ascii": FOLD_ASCII, "never": FOLD_NEVER}

cdef int[10] _DIGIT_BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]


cdef class Out:
    """A growing run of bytes; SQL is written into it."""

    def __cinit__(self):
        self.data = NULL
        self.size = self.capacity = 0
        self.has_error_value = False

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


cdef inline uint64_t _big_endian(const uint8_t* p, int length) noexcept:
    cdef uint64_t value = 0
    cdef int i
    for i in range(length):
        value = value << 8 | p[i]
    return value


cdef inline uint64_t _little_endian(const uint8_t* p, int length) noexcept:
    cdef uint64_t value = 0
    memcpy(&value, p, length)
    return value


cdef inline uint64_t _mix(uint64_t a) noexcept:
    a ^= a >> 32
    a *= <uint64_t>0xD6E8FEB86659FD93
    a ^= a >> 32
    a *= <uint64_t>0xD6E8FEB86659FD93
    return a ^ (a >> 32)


cdef uint64_t _hash_bytes(uint64_t state, const uint8_t* p, size_t length) noexcept:
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


cdef class Plan:
    """What one link does with one table as one TABLE_MAP describes it, in a form that rows can be walked with.

    ``columns`` holds for each source column a (target name or None, introducer, rendering override) triple;
    ``keys`` holds the target's unique keys as :class:`UniqueKey`, the row key first when ``keyed``.
    """

    def __cinit__(self, description, target_table, *, names, columns, keys, bint keyed, bint ordered,
                  bint together, uint64_t group, operations, row_filter, table_sql, bint identical=False,
                  bint same_defaults=False):
        self.description = description
        self.source = description.name
        self.target_table = target_table
        self.target = target_table.name
        self.names = tuple(names)
        self.is_ordered = ordered
        self.is_keyed = keyed
        self.stays_together = together
        self.is_identical = identical
        self.has_same_defaults = same_defaults
        self.group = group
        self.row_filter = row_filter
        self.table_sql = table_sql
        self.keys = keys
        self.row_key = keys[0] if keyed else None
        self.has_alternatives = len(keys) > (1 if keyed else 0)
        self.operations = sum(1 << operation for operation in operations)
        self.count = len(description.columns)
        self.present_bytes = (self.count + 7) // 8
        self.sizes = <uint32_t*>calloc(self.count, sizeof(uint32_t))
        self.prefixes = <uint8_t*>calloc(self.count, 1)
        self.renderings = <uint8_t*>calloc(self.count, 1)
        self.flags = <uint8_t*>calloc(self.count, 1)
        self.details = <uint16_t*>calloc(self.count, sizeof(uint16_t))
        self.offsets_before = <uint32_t*>calloc(self.count, sizeof(uint32_t))
        self.offsets_after = <uint32_t*>calloc(self.count, sizeof(uint32_t))
        self.name_sql = []
        self.introducers = []
        for i, (name, introducer, rendering) in enumerate(columns):
            self._column(i, description.columns[i], rendering)
            self.name_sql.append(name)
            self.introducers.append(introducer)
            if name is not None:
                self.flags[i] |= F_WRITTEN
        if keyed:
            for i in self.row_key.columns:
                self.flags[i] |= F_ROW_KEY

    def __dealloc__(self):
        free(self.sizes)
        free(self.prefixes)
        free(self.renderings)
        free(self.flags)
        free(self.details)
        free(self.offsets_before)
        free(self.offsets_after)

    def _column(self, int i, column, rendering):
        kind, metadata = column.type, column.metadata
        self.details[i] = metadata & 0xFFFF
        self.flags[i] = F_UNSIGNED if column.unsigned else 0
        self.renderings[i] = _RENDERINGS.get(kind, 0)
        if kind in _INT_BYTES:
            self.sizes[i] = _INT_BYTES[kind]
        elif kind in (tm.FLOAT, tm.DOUBLE):
            self.sizes[i] = metadata
        elif kind == tm.YEAR:
            self.sizes[i] = 1
        elif kind in (tm.DATE, tm.NEWDATE):
            self.sizes[i] = 3
        elif kind in (tm.TIME2, tm.DATETIME2, tm.TIMESTAMP2):
            self.sizes[i] = {tm.TIME2: 3, tm.DATETIME2: 5, tm.TIMESTAMP2: 4}[kind] + (metadata + 1) // 2
        elif kind == tm.NEWDECIMAL:
            self.sizes[i] = _decimal_size(metadata >> 8, metadata & 0xFF)
        elif kind == tm.BIT:
            self.sizes[i] = (metadata + 7) // 8
        elif kind in (tm.ENUM, tm.SET):
            self.sizes[i] = metadata
        elif kind in (tm.VARCHAR, tm.VAR_STRING, tm.STRING, tm.VARCHAR_COMPRESSED):
            self.prefixes[i] = 2 if metadata > 255 else 1
        elif kind in (tm.BLOB, tm.GEOMETRY, tm.BLOB_COMPRESSED):
            self.prefixes[i] = metadata
        else:
            raise UnsupportedEvent(
                f"column {i + 1} of {self.source[0]}.{self.source[1]} is stored as type {kind}",
                hint="a column in the format of before MySQL 5.6 is rewritten by ALTER TABLE ... FORCE")
        if rendering is not None:
            self.renderings[i] = {"text": R_TEXT, "binary": R_BINARY, "uuid": R_UUID}[rendering]
            if rendering != "text" and kind == tm.STRING:
                self.flags[i] |= F_PADDED
        elif not self.renderings[i]:
            self.renderings[i] = R_BINARY

    def __reduce__(self):
        raise TypeError("a plan belongs to one process")

    cdef bint is_full(self, const uint8_t* present) noexcept:
        cdef int i
        for i in range(self.count // 8):
            if present[i] != 0xFF:
                return False
        return self.count % 8 == 0 or present[self.count // 8] == (1 << (self.count % 8)) - 1

    cdef bint writes(self, int column) noexcept:
        return self.flags[column] & F_WRITTEN

    cdef bint is_row_key(self, int column) noexcept:
        return self.flags[column] & F_ROW_KEY

    cdef const uint8_t* locate(self, Image image, const uint8_t* end, uint32_t* offsets) except NULL:
        """Fill ``offsets`` (from the image's start) and return where the image ends."""
        cdef const uint8_t* start = image.start
        cdef const uint8_t* present = image.present
        cdef int i, seen = 0, carried = 0
        cdef size_t at, length, limit = end - start
        for i in range(self.present_bytes):
            carried += _POPCOUNT[present[i]]
        at = (carried + 7) // 8
        if at > limit:
            raise self._overrun()
        for i in range(self.count):
            if not present[i >> 3] >> (i & 7) & 1:
                offsets[i] = ABSENT
                continue
            if start[seen >> 3] >> (seen & 7) & 1:
                offsets[i] = NULL_VALUE
                seen += 1
                continue
            seen += 1
            offsets[i] = at
            if self.prefixes[i]:
                if at + self.prefixes[i] > limit:
                    raise self._overrun()
                length = self.prefixes[i] + _little_endian(start + at, self.prefixes[i])
            else:
                length = self.sizes[i]
            if length > limit - at:
                raise self._overrun()
            at += length
        return start + at

    def _overrun(self):
        return MalformedEvent("a row image exceeds its event").at(table=".".join(self.source))

    cdef size_t value_at(self, int column, const uint8_t* start, uint32_t offset, const uint8_t** data) noexcept:
        data[0] = start + offset + self.prefixes[column]
        if self.prefixes[column]:
            return _little_endian(start + offset, self.prefixes[column])
        return self.sizes[column]

    cdef uint64_t hash_key(self, UniqueKey key, const uint8_t* start, uint32_t* offsets, bint* unproven) except? 0:
        """Hash a key so that values which the target calls equal meet; 0 when a NULL keeps it from colliding.

        ``unproven`` is set when equality cannot be told from the bytes: the table's transactions then stay
        together in this batch.
        """
        cdef uint64_t state = key.seed
        cdef const uint8_t* data
        cdef size_t length
        cdef int i, column
        for i in range(key.count):
            column = key.indexes[i]
            if offsets[column] == NULL_VALUE:
                return 0
            if offsets[column] == ABSENT or key.folds[i] == FOLD_NEVER:
                unproven[0] = True
                return key.seed
            length = self.value_at(column, start, offsets[column], &data)
            if key.folds[i] == FOLD_EXACT:
                if key.prefixes[i] and length > key.prefixes[i]:
                    length = key.prefixes[i]
                state = _hash_bytes(state, data, length)
            elif key.folds[i] == FOLD_FLOAT:
                state = _hash_float(state, data, length)
            else:
                state = _hash_text(state, data, length, key.prefixes[i], key.folds[i] == FOLD_ASCII, unproven)
        return state or 1

    cdef bint same_key(self, UniqueKey key, const uint8_t* a, uint32_t* a_offsets, const uint8_t* b,
                       uint32_t* b_offsets) except -1:
        """Return whether two images hold the same bytes in every column of a key."""
        cdef const uint8_t* a_data
        cdef const uint8_t* b_data
        cdef size_t length
        cdef int i, column
        for i in range(key.count):
            column = key.indexes[i]
            if a_offsets[column] == ABSENT or b_offsets[column] == ABSENT:
                return False
            if a_offsets[column] == NULL_VALUE or b_offsets[column] == NULL_VALUE:
                if a_offsets[column] != b_offsets[column]:
                    return False
                continue
            length = self.value_at(column, a, a_offsets[column], &a_data)
            if length != self.value_at(column, b, b_offsets[column], &b_data) or memcmp(a_data, b_data, length):
                return False
        return True

    cdef int render(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1:
        """Write one value as SQL, text with its charset, so that it compares in the column's own collation."""
        if offset == NULL_VALUE:
            return out.put(b"NULL", 4)
        if offset == ABSENT:
            raise SchemaMismatch(
                f"the row image lacks column {self.names[column]}",
                hint="set binlog_row_image=FULL on the source").at(table=".".join(self.source))
        cdef const uint8_t* p
        cdef size_t length = self.value_at(column, start, offset, &p)
        cdef uint8_t kind = self.renderings[column]
        cdef uint16_t detail = self.details[column]
        if kind == R_INT:
            return _render_int(out, p, length, self.flags[column] & F_UNSIGNED)
        if kind == R_TEXT:
            out.put_bytes(<bytes>self.introducers[column])
            return _render_text(out, p, length)
        if kind == R_BINARY or kind == R_UUID:
            return _render_binary(out, <bytes>self.introducers[column], p, length,
                                  detail if self.flags[column] & F_PADDED else 0)
        if kind == R_DECIMAL:
            return _render_decimal(out, p, detail >> 8, detail & 0xFF)
        if kind == R_DATETIME:
            return _render_datetime(out, p, detail)
        if kind == R_TIMESTAMP:
            return _render_timestamp(out, p, detail)
        if kind == R_SET:
            # Servers compare a SET of 64 members as a signed number.
            return _render_int(out, p, length, length < 8)
        if kind == R_ENUM:
            # A value that was no member: number 0, which a strict server accepts from nobody.
            out.has_error_value |= _little_endian(p, length) == 0
            return out.put_number(_little_endian(p, length))
        if kind == R_BIT:
            return out.put_number(_big_endian(p, length))
        if kind == R_YEAR:
            return out.put_number(1900 + p[0] if p[0] else 0)
        if kind == R_DATE:
            return _render_date(out, p)
        if kind == R_TIME:
            return _render_time(out, p, detail)
        if kind == R_FLOAT or kind == R_DOUBLE:
            return _render_double(out, p, kind == R_FLOAT)
        plain = _uncompressed(p[:length])
        out.put_bytes(<bytes>self.introducers[column])
        return _render_text(out, <const uint8_t*><const char*>plain, len(plain))

    cdef object value(self, int column, const uint8_t* start, uint32_t offset):
        """Return one value as a Python object, temporal types and ENUM labels as text."""
        if offset == NULL_VALUE or offset == ABSENT:
            return None
        cdef const uint8_t* p
        cdef size_t length = self.value_at(column, start, offset, &p)
        cdef uint8_t kind = self.renderings[column]
        if kind == R_TEXT:
            return p[:length].decode(_CODECS.get(self.introducers[column], "utf-8"), "surrogateescape")
        if kind == R_BINARY:
            return p[:length].ljust(self.details[column], b"\0") if self.flags[column] & F_PADDED else p[:length]
        if kind == R_UUID:
            # Tables store the segments reversed, but the log has the bytes in the order of the text.
            return str(UUID(bytes=p[:length].ljust(16, b"\0")))
        if kind == R_COMPRESSED:
            return _uncompressed(p[:length])
        if kind == R_SET or kind == R_ENUM:
            return self._label(column, _little_endian(p, length))
        out = Out()
        self.render(out, column, start, offset)
        text = out.take().decode("ascii")
        if kind in (R_INT, R_BIT, R_YEAR):
            return int(text)
        if kind == R_DECIMAL:
            return Decimal(text)
        if kind in (R_FLOAT, R_DOUBLE):
            return float(text)
        return text.strip("'")

    def _label(self, int column, number):
        members = self.description.columns[column].members
        if members is None:
            declared = self.target_table.column(self.names[column])
            raise SchemaMismatch(
                f"the members of column {self.names[column]} are not known (it is {declared and declared.type})",
                hint="set binlog_row_metadata=FULL on the source").at(table=".".join(self.source))
        labels = [member.decode("utf-8", "replace") for member in members]
        if self.description.columns[column].type == tm.SET:
            return ",".join(label for i, label in enumerate(labels) if number >> i & 1)
        return labels[number - 1] if 0 < number <= len(labels) else ""

    def changes(self, int kind, const uint8_t[::1] body):
        """Return a rows event's changes as (before, after) pairs of value tuples; a side that it lacks is None.

        ``kind`` and ``body`` are as in ``Transaction.events``. For messages, tools and tests: values that the
        images do not carry read as None. Raises MalformedEvent.
        """
        cdef const uint8_t* at = &body[0] if body.shape[0] else NULL
        cdef const uint8_t* end = at + body.shape[0]
        cdef int images = 2 if kind == UPDATE else 1
        cdef int head = 1 if self.count < 251 else 3
        cdef Image image
        cdef int i
        cdef list found = []
        if end - at < head + images * self.present_bytes:
            raise self._overrun()
        cdef const uint8_t* present = at + head
        at = present + images * self.present_bytes
        while at < end:
            sides = [None, None]
            for i in range(images):
                image = Image(at, present + i * self.present_bytes)
                sides[i if kind != INSERT else 1] = self.values(image, end)
                at = self.locate(image, end, self.offsets_before)
            found.append(tuple(sides))
        return found

    cdef tuple values(self, Image image, const uint8_t* end):
        cdef uint32_t* offsets = <uint32_t*>malloc(max(1, self.count) * sizeof(uint32_t))
        try:
            self.locate(image, end, offsets)
            return tuple([self.value(i, image.start, offsets[i]) for i in range(self.count)])
        finally:
            free(offsets)


cdef uint8_t[256] _POPCOUNT
for _i in range(256):
    _POPCOUNT[_i] = bin(_i).count("1")

_CODECS = {
    b"_utf8mb4": "utf-8", b"_utf8mb3": "utf-8", b"_utf8": "utf-8", b"_latin1": "cp1252", b"_ascii": "ascii",
    b"_gbk": "gbk", b"_gb2312": "gb2312", b"_gb18030": "gb18030", b"_big5": "big5", b"_utf16": "utf-16-be",
    b"_utf16le": "utf-16-le", b"_utf32": "utf-32-be", b"_ucs2": "utf-16-be", b"_sjis": "shift_jis",
    b"_cp932": "cp932", b"_ujis": "euc_jp", b"_euckr": "euc_kr", b"_latin2": "iso8859-2", b"_cp1250": "cp1250",
    b"_cp1251": "cp1251", b"_koi8r": "koi8_r", b"_greek": "iso8859-7", b"_hebrew": "iso8859-8",
    b"_latin5": "iso8859-9", b"_latin7": "iso8859-13", b"_cp1256": "cp1256", b"_cp1257": "cp1257",
}


cdef class RowSet:
    """Changes of one kind to one table, as references into their transactions' bytes.

    Whoever holds it must hold the transactions. ``is_net`` says that the changes are net: no two touch one
    row, and their order does not matter.
    """

    def __cinit__(self, Plan plan, uint8_t kind, bint is_net, bint foreign_keys_off=False):
        self.plan = plan
        self.foreign_keys_off = foreign_keys_off
        self.kind = kind
        self.is_net = is_net
        self.count = self.capacity = 0
        self.changes = NULL

    def __dealloc__(self):
        free(self.changes)

    def __len__(self):
        return self.count

    cdef int add(self, Image before, Image after) except -1:
        cdef void* grown
        if self.count == self.capacity:
            self.capacity = max(<size_t>8, self.capacity * 2)
            grown = realloc(self.changes, self.capacity * sizeof(Change))
            if grown == NULL:
                raise MemoryError("no memory for a batch's rows")
            self.changes = <Change*>grown
        self.changes[self.count] = Change(before, after)
        self.count += 1
        return 0


cdef int _decimal_size(int precision, int scale):
    cdef int whole = precision - scale
    return whole // 9 * 4 + _DIGIT_BYTES[whole % 9] + scale // 9 * 4 + _DIGIT_BYTES[scale % 9]


cdef uint64_t _hash_float(uint64_t state, const uint8_t* data, size_t length) noexcept:
    cdef float narrow
    cdef double wide
    if length == 4:
        memcpy(&narrow, data, 4)
        wide = narrow
    else:
        memcpy(&wide, data, 8)
    if wide == 0:
        wide = 0
    return _hash_bytes(state, <const uint8_t*>&wide, 8)


cdef uint64_t _hash_text(uint64_t state, const uint8_t* data, size_t length, size_t prefix, bint fold,
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
        return _hash_bytes(state, data, length)
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


cdef int _render_int(Out out, const uint8_t* p, size_t length, bint is_unsigned) except -1:
    cdef uint64_t value = _little_endian(p, length)
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


cdef int _render_text(Out out, const uint8_t* p, size_t length) except -1:
    out.put_char(39)
    _escape(out, p, length)
    return out.put_char(39)


cdef int _render_binary(Out out, bytes introducer, const uint8_t* p, size_t length, size_t padded) except -1:
    out.put_bytes(introducer)
    out.put_char(39)
    _escape(out, p, length)
    while length < padded:
        out.put_char(0)
        length += 1
    return out.put_char(39)


cdef int _render_decimal(Out out, const uint8_t* p, int precision, int scale) except -1:
    """Write a packed decimal (``strings/decimal.c``, ``decimal2bin``): groups of nine digits, big-endian."""
    cdef uint8_t[32] plain
    cdef char[100] text
    cdef int size = _decimal_size(precision, scale)
    cdef int whole = precision - scale, at = 0, written = 0, group, i, digits
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
        written = snprintf(text, 100, b"%llu", <unsigned long long>_big_endian(plain, _DIGIT_BYTES[digits]))
        at = _DIGIT_BYTES[digits]
    for group in range(whole // 9):
        written += snprintf(text + written, 100 - written, b"%09llu" if written else b"%llu",
                            <unsigned long long>_big_endian(plain + at, 4))
        at += 4
    if written == 0:
        text[0] = 48
        written = 1
    out.put(<const uint8_t*>text, written)
    if scale == 0:
        return 0
    out.put_char(46)
    written = 0
    for group in range(scale // 9):
        written += snprintf(text + written, 100 - written, b"%09llu",
                            <unsigned long long>_big_endian(plain + at, 4))
        at += 4
    digits = scale % 9
    if digits:
        written += snprintf(text + written, 100 - written, b"%0*llu", digits,
                            <unsigned long long>_big_endian(plain + at, _DIGIT_BYTES[digits]))
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
    return _big_endian(p, length) * (10000 if length == 1 else 100 if length == 2 else 1)


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


cdef int _render_date(Out out, const uint8_t* p) except -1:
    cdef uint32_t packed = _little_endian(p, 3)
    out.put_char(39)
    _put_date(out, packed >> 9, packed >> 5 & 15, packed & 31)
    return out.put_char(39)


cdef int _render_datetime(Out out, const uint8_t* p, int digits) except -1:
    """Five bytes, offset binary: year * 13 + month, day, hour, minute, second (``my_datetime_packed_from_binary``)."""
    cdef int64_t packed = <int64_t>_big_endian(p, 5) - <int64_t>0x8000000000
    cdef uint32_t days = packed >> 17, clock = packed & 0x1FFFF
    out.put_char(39)
    _put_date(out, (days >> 5) // 13, (days >> 5) % 13, days & 31)
    out.put_char(32)
    _put_clock(out, clock >> 12, clock >> 6 & 63, clock & 63)
    _put_fraction(out, _fraction(p + 5, digits), digits)
    return out.put_char(39)


cdef int _render_timestamp(Out out, const uint8_t* p, int digits) except -1:
    """Seconds since 1970 in UTC; the writer's session runs in UTC. Zero stands for the zero date."""
    cdef uint32_t seconds = _big_endian(p, 4)
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


cdef int _render_time(Out out, const uint8_t* p, int digits) except -1:
    """Offset binary with the fraction below the point, negative as a whole (``my_time_packed_from_binary``)."""
    cdef int length = (digits + 1) // 2
    cdef int64_t packed = (<int64_t>_big_endian(p, 3 + length)) - (<int64_t>0x800000 << 8 * length)
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


cdef int _render_double(Out out, const uint8_t* p, bint narrow) except -1:
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


def _uncompressed(bytes stored):
    """Undo a COMPRESSED column: a byte of method and flags, the big-endian length, deflated data.

    The method's half byte is 8 for zlib, 0 for data as they are; bit 3 says that zlib's own header is left
    out (``Field_longstr::uncompress`` and ``compress_zlib`` in ``sql/field_comp.cc``).
    """
    if not stored:
        return b""
    method = stored[0] >> 4
    if method == 0:
        return stored[1:]
    if method != 8:
        raise UnsupportedEvent(f"a COMPRESSED column by method {method}")
    size = stored[0] & 7
    expected = int.from_bytes(stored[1:1 + size], "big")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if stored[0] & 8 else zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(stored[1 + size:], expected + 1)
    except zlib.error as error:
        raise MalformedEvent(f"a COMPRESSED column that does not unpack: {error}") from error
    if len(plain) != expected:
        raise MalformedEvent(f"a COMPRESSED column holds {len(plain)} bytes and says {expected}")
    return plain
