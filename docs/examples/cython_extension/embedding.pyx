# cython: language_level=3, boundscheck=False, freethreading_compatible=True
"""Fill embeddings without the GIL."""

from cython.parallel cimport prange
from libc.stdint cimport uint64_t

from fastinit.c_api cimport (
    FASTINIT_F32,
    fastinit_check_signals,
    fastinit_normal,
    fastinit_run,
    fastinit_spans,
    fastinit_truncated,
)


def fill(float[::1] table not None, uint64_t seed, double stddev, int threads):
    """Fill a table with normal values.  Ctrl-C raises KeyboardInterrupt."""
    cdef uint64_t first = 0
    cdef fastinit_spans whole = fastinit_spans(&first, 1, table.shape[0], 0)
    cdef fastinit_run run = fastinit_run(threads, fastinit_check_signals)
    with nogil:
        fastinit_normal(&table[0], FASTINIT_F32, whole, seed, 0, stddev, run)


cdef int fill_row(
    float *row, uint64_t number, size_t length, uint64_t seed, double stddev
) except? -1 nogil:
    cdef uint64_t first = number * length  # the index of the row's first element in the table
    cdef fastinit_spans whole = fastinit_spans(&first, 1, length, 0)
    return fastinit_truncated(
        row, FASTINIT_F32, whole, seed, 0, stddev, fastinit_run(1, NULL)
    )


def read(
    float[:, ::1] rows not None, const uint64_t[::1] ids not None, uint64_t seed, double stddev,
    int threads,
):
    """Fill rows with those rows of a table of truncated normal values, on several threads."""
    cdef Py_ssize_t i
    if rows.shape[0] != ids.shape[0]:
        raise ValueError("there must be as many rows as ids")
    for i in prange(rows.shape[0], nogil=True, num_threads=threads):
        fill_row(&rows[i, 0], ids[i], rows.shape[1], seed, stddev)
