from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cdcd.row.key cimport UniqueKey
from cdcd.row.values cimport Out


cdef enum:              # as in model.change
    INSERT = 0
    UPDATE = 1
    DELETE = 2

cdef enum:
    ABSENT = 0xFFFFFFFF     # an offset: the image does not carry the column
    NULL_VALUE = 0          # an offset: the column is NULL


cdef struct Image:
    const uint8_t* start    # the null bitmap; values follow. NULL when the change has no such image
    const uint8_t* present  # the event's bitmap of the columns that its images carry


cdef inline const uint8_t* end_of(Image image) noexcept:
    """Return a bound for an image that was walked before."""
    return image.start + (<size_t>1 << 31)


cdef struct Change:
    Image before
    Image after


cdef enum:                  # how a cell is stored, and so what it is read as
    AS_INT = 1
    AS_FLOAT = 2
    AS_DOUBLE = 3
    AS_DECIMAL = 4
    AS_YEAR = 5
    AS_DATE = 6
    AS_TIME = 7
    AS_DATETIME = 8
    AS_TIMESTAMP = 9
    AS_BIT = 10
    AS_SET = 11
    AS_TEXT = 12
    AS_BINARY = 13
    AS_UUID = 14
    AS_COMPRESSED = 15
    AS_ENUM = 16
    AS_TEXT_CELL = 17       # canonical text, of values whose type no log has

cdef enum:
    F_UNSIGNED = 1
    F_PADDED = 2            # fixed-length binary, UUID, INET4, INET6: the log strips trailing zeros


cdef class Layout:
    cdef readonly object source             # (database, table)
    cdef readonly object description        # cell.Description
    cdef readonly tuple names               # of the columns, on the source
    cdef readonly list charsets             # of each column's text, "binary" of bytes, "" of what is neither
    cdef readonly list declared             # each column's type, "" where it is not known
    cdef readonly bint has_text_cells
    cdef int count
    cdef int present_bytes
    cdef uint8_t* every_column              # the bitmap of an image that carries them all
    cdef uint32_t* sizes
    cdef uint8_t* prefixes
    cdef uint8_t* storages
    cdef uint8_t* flags
    cdef uint16_t* details
    cdef uint32_t* offsets_before           # for whoever walks an image: nothing else may be between fill and use
    cdef uint32_t* offsets_after
    cdef const uint8_t* locate(self, Image image, const uint8_t* end, uint32_t* offsets) except NULL
    cdef const uint8_t* _locate_all(self, const uint8_t* start, size_t limit, uint32_t* offsets) except NULL
    cdef bint is_full(self, const uint8_t* present) noexcept
    cdef uint64_t hash_key(self, UniqueKey key, const uint8_t* start, uint32_t* offsets, bint* unproven) except? 0
    cdef bint same_key(self, UniqueKey key, const uint8_t* a, uint32_t* a_offsets, const uint8_t* b,
                       uint32_t* b_offsets) except -1
    cdef int put_plain(self, Out out, int column, const uint8_t* p, size_t length) except -1
    cdef object value(self, int column, const uint8_t* start, uint32_t offset)
    cdef tuple values(self, Image image, const uint8_t* end)
    cdef size_t value_at(self, int column, const uint8_t* start, uint32_t offset, const uint8_t** data) noexcept
