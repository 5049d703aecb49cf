# cython: language_level=3, boundscheck=False, freethreading_compatible=True
"""The door to the C core (include/fastinit.h): pointers in, nothing computed."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
)
from cpython.exc cimport PyErr_Occurred
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept  # cpython.exc's version would print the exception and drop it

cdef extern from "fastinit.h" nogil:
    int FASTINIT_STREAM_VERSION
    int FASTINIT_ISA_UNKNOWN, FASTINIT_ISA_UNAVAILABLE
    ctypedef struct fastinit_run:
        int threads
        int (*poll)() noexcept nogil
    int fastinit_init()
    const char *const *fastinit_isas()
    int fastinit_isa_available(const char *name)
    int fastinit_use_isa(const char *name)
    const char *fastinit_isa()
    int fastinit_openmp()
    void fastinit_bits_u32(uint32_t *, uint64_t, size_t, uint64_t, fastinit_run)
    void fastinit_bits_u64(uint64_t *, uint64_t, size_t, uint64_t, fastinit_run)
    void fastinit_uniform_f32(float *, uint64_t, size_t, uint64_t, double, double, fastinit_run)
    void fastinit_uniform_f64(double *, uint64_t, size_t, uint64_t, double, double, fastinit_run)
    void fastinit_normal_f32(float *, uint64_t, size_t, uint64_t, double, double, fastinit_run)
    void fastinit_normal_f64(double *, uint64_t, size_t, uint64_t, double, double, fastinit_run)
    void fastinit_truncated_f32(float *, uint64_t, size_t, uint64_t, double, double, fastinit_run)
    void fastinit_truncated_f64(double *, uint64_t, size_t, uint64_t, double, double, fastinit_run)
    size_t fastinit_orthogonal_work(size_t, size_t, size_t, fastinit_run)
    void fastinit_orthogonal_f32(
        float *, void *, uint64_t, size_t, size_t, size_t, uint64_t, double, fastinit_run
    )
    void fastinit_orthogonal_f64(
        double *, void *, uint64_t, size_t, size_t, size_t, uint64_t, double, fastinit_run
    )
    void fastinit_philox(const uint32_t *, const uint32_t *, uint32_t *)


cdef int poll() noexcept nogil:
    # The exception of a signal handler stays set; finish() finds it.
    with gil:
        return PyErr_CheckSignals()


cdef int finish(Py_buffer *view) except -1:
    PyBuffer_Release(view)
    return -1 if PyErr_Occurred() else 0


def plain(out, shape, dtype):
    """Whether out is float32 or float64, of that shape (None or a tuple of int) and dtype (None or a
    name), and may be filled; False too where that takes longer to find out.

    For calls for a few elements: half a microsecond less than the same questions in Python.
    """
    cdef Py_buffer view
    cdef bint fit
    cdef Py_ssize_t i = 0
    try:
        PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE | PyBUF_FORMAT)
    except (TypeError, ValueError, BufferError):
        return False
    fit = view.format[0] in b"fd" and view.format[1] == 0 and <size_t>view.buf % view.itemsize == 0
    if fit and dtype is not None:
        fit = type(dtype) is str and dtype == ("float32" if view.itemsize == 4 else "float64")
    if fit and shape is not None:
        fit = type(shape) is tuple and len(<tuple>shape) == view.ndim
        while fit and i < view.ndim:
            d = (<tuple>shape)[i]
            fit = type(d) is int and d == view.shape[i]
            i += 1
    PyBuffer_Release(&view)
    return fit


def bits(out, uint64_t start, uint64_t seed, int threads):
    """Fill a contiguous uint32 or uint64 buffer with elements start, start + 1, ..."""
    cdef Py_buffer view
    cdef fastinit_run run = fastinit_run(threads, poll)
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    with nogil:
        if view.itemsize == 4:
            fastinit_bits_u32(<uint32_t *>view.buf, start, view.len // 4, seed, run)
        else:
            fastinit_bits_u64(<uint64_t *>view.buf, start, view.len // 8, seed, run)
    finish(&view)


def uniform(out, uint64_t start, uint64_t seed, double minval, double maxval, int threads):
    """Fill a contiguous float32 or float64 buffer with elements start, start + 1, ..."""
    cdef Py_buffer view
    cdef fastinit_run run = fastinit_run(threads, poll)
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    with nogil:
        if view.itemsize == 4:
            fastinit_uniform_f32(
                <float *>view.buf, start, view.len // 4, seed, minval, maxval, run
            )
        else:
            fastinit_uniform_f64(
                <double *>view.buf, start, view.len // 8, seed, minval, maxval, run
            )
    finish(&view)


def normal(out, uint64_t start, uint64_t seed, double mean, double stddev, int threads):
    """Fill a contiguous float32 or float64 buffer with elements start, start + 1, ..."""
    cdef Py_buffer view
    cdef fastinit_run run = fastinit_run(threads, poll)
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    with nogil:
        if view.itemsize == 4:
            fastinit_normal_f32(<float *>view.buf, start, view.len // 4, seed, mean, stddev, run)
        else:
            fastinit_normal_f64(<double *>view.buf, start, view.len // 8, seed, mean, stddev, run)
    finish(&view)


def truncated(out, uint64_t start, uint64_t seed, double mean, double stddev, int threads):
    """Fill a contiguous float32 or float64 buffer with elements start, start + 1, ..."""
    cdef Py_buffer view
    cdef fastinit_run run = fastinit_run(threads, poll)
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    with nogil:
        if view.itemsize == 4:
            fastinit_truncated_f32(
                <float *>view.buf, start, view.len // 4, seed, mean, stddev, run
            )
        else:
            fastinit_truncated_f64(
                <double *>view.buf, start, view.len // 8, seed, mean, stddev, run
            )
    finish(&view)


def orthogonal_work(size_t rows, size_t columns, size_t count, int threads):
    """How many elements of work space `orthogonal` needs."""
    return fastinit_orthogonal_work(rows, columns, count, fastinit_run(threads, poll))


def orthogonal(
    out, work, uint64_t first, size_t rows, size_t columns, uint64_t seed, double gain, int threads
):
    """Fill a contiguous float32 or float64 buffer with matrices first, first + 1, ..."""
    cdef Py_buffer view, space
    cdef fastinit_run run = fastinit_run(threads, poll)
    cdef size_t count
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        PyObject_GetBuffer(work, &space, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    except BaseException:
        PyBuffer_Release(&view)
        raise
    count = view.len // (rows * columns * view.itemsize)
    if space.len < fastinit_orthogonal_work(rows, columns, count, run) * view.itemsize:
        PyBuffer_Release(&space)
        PyBuffer_Release(&view)
        raise ValueError("work is too small for so many threads")
    with nogil:
        if view.itemsize == 4:
            fastinit_orthogonal_f32(
                <float *>view.buf, space.buf, first, count, rows, columns, seed, gain, run
            )
        else:
            fastinit_orthogonal_f64(
                <double *>view.buf, space.buf, first, count, rows, columns, seed, gain, run
            )
    PyBuffer_Release(&space)
    finish(&view)


def philox(counter, key):
    """One block of Philox4x32-10 by the kernels in use: four words from four and two."""
    cdef uint32_t[4] c = counter
    cdef uint32_t[2] k = key
    cdef uint32_t[4] x
    fastinit_philox(c, k, x)
    return x[0], x[1], x[2], x[3]


cdef check_isa(int status, name):
    if status == FASTINIT_ISA_UNKNOWN:
        raise RuntimeError(f"unknown ISA {name!r}: portable, neon, avx2 or avx512")
    if status == FASTINIT_ISA_UNAVAILABLE:
        raise RuntimeError(f"ISA {name!r} is not available on this processor")


def use_isa(str name):
    """Change the kernels in use; not while another thread fills."""
    check_isa(fastinit_use_isa(name.encode()), name)


def isa():
    """The name of the kernels in use."""
    return fastinit_isa().decode()


def isas():
    """The names of the kernels that this processor can run, slowest first."""
    cdef const char *const *name = fastinit_isas()
    found = []
    while name[0] != NULL:
        if fastinit_isa_available(name[0]):
            found.append(name[0].decode())
        name += 1
    return found


def openmp():
    """The value of _OPENMP that the core was built with; 0 without OpenMP."""
    return fastinit_openmp()


STREAM_VERSION = FASTINIT_STREAM_VERSION

from os import environ

check_isa(fastinit_init(), f"FASTINIT_ISA={environ.get('FASTINIT_ISA')}")
