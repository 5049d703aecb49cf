# cython: language_level=3
"""Every function of fastinit.c_api, for tests/test_c_interface.py to call from Python.

This module includes the header as well, to compare its types with those of c_api.pxd.
"""

from libc.stdint cimport uint32_t, uint64_t

from fastinit cimport c_api


cdef extern from "fastinit.h":
    ctypedef struct c_run "fastinit_run":
        pass
    ctypedef struct c_spans "fastinit_spans":
        pass
    ctypedef struct c_window "fastinit_window":
        pass
    int STOPPED "FASTINIT_STOPPED", OK "FASTINIT_OK", LAYERS "FASTINIT_LAYERS"
    int U32 "FASTINIT_U32", U64 "FASTINIT_U64", F16 "FASTINIT_F16", BF16 "FASTINIT_BF16"
    int F32 "FASTINIT_F32", F64 "FASTINIT_F64"


TYPES = {
    "uint32": c_api.FASTINIT_U32,
    "uint64": c_api.FASTINIT_U64,
    "float16": c_api.FASTINIT_F16,
    "bfloat16": c_api.FASTINIT_BF16,
    "float32": c_api.FASTINIT_F32,
    "float64": c_api.FASTINIT_F64,
}


def pairs():
    """Return each size and constant of c_api.pxd, and that of the header."""
    return {
        "fastinit_run": (sizeof(c_api.fastinit_run), sizeof(c_run)),
        "fastinit_spans": (sizeof(c_api.fastinit_spans), sizeof(c_spans)),
        "fastinit_window": (sizeof(c_api.fastinit_window), sizeof(c_window)),
        "FASTINIT_STOPPED": (c_api.FASTINIT_STOPPED, STOPPED),
        "FASTINIT_OK": (c_api.FASTINIT_OK, OK),
        "FASTINIT_LAYERS": (c_api.FASTINIT_LAYERS, LAYERS),
        "FASTINIT_U32": (c_api.FASTINIT_U32, U32),
        "FASTINIT_U64": (c_api.FASTINIT_U64, U64),
        "FASTINIT_F16": (c_api.FASTINIT_F16, F16),
        "FASTINIT_BF16": (c_api.FASTINIT_BF16, BF16),
        "FASTINIT_F32": (c_api.FASTINIT_F32, F32),
        "FASTINIT_F64": (c_api.FASTINIT_F64, F64),
    }


cdef int calls_of_poll = 0


cdef int stop() noexcept nogil:
    global calls_of_poll
    calls_of_poll += 1
    return 1


def fill(
    str function, unsigned char[::1] out, str dtype, const uint64_t[::1] starts, size_t length,
    uint64_t seed, parameters=(), int threads=1, bint keyed=False, bint stopped=False,
):
    """Fill the bytes of out, and return what the function returns."""
    cdef double[4] p = [*parameters, *[0.0] * (4 - len(parameters))]
    cdef c_api.fastinit_type type = TYPES[dtype]
    cdef c_api.fastinit_run run = c_api.fastinit_run(threads, c_api.fastinit_check_signals)
    cdef c_api.fastinit_spans spans = c_api.fastinit_spans(
        &starts[0], starts.shape[0], length, keyed
    )
    cdef c_api.fastinit_window window
    cdef int status, which = ["bits", "uniform", "normal", "truncated", "between"].index(function)
    if stopped and threads > 1:
        raise ValueError("stop() counts on one thread")
    if stopped:
        run.poll = stop
    with nogil:
        if which == 0:
            status = c_api.fastinit_bits(&out[0], type, spans, seed, run)
        elif which == 1:
            status = c_api.fastinit_uniform(&out[0], type, spans, seed, p[0], p[1], run)
        elif which == 2:
            status = c_api.fastinit_normal(&out[0], type, spans, seed, p[0], p[1], run)
        elif which == 3:
            status = c_api.fastinit_truncated(&out[0], type, spans, seed, p[0], p[1], run)
        else:
            c_api.fastinit_window_init(&window, p[2], p[3])
            status = c_api.fastinit_between(
                &out[0], type, spans, seed, p[0], p[1], p[2], p[3], &window, run
            )
    return status


def orthogonal(
    unsigned char[::1] out, str dtype, size_t first, size_t count, size_t rows, size_t columns,
    uint64_t seed, double gain, int threads, bint stopped=False,
):
    cdef c_api.fastinit_type type = TYPES[dtype]
    cdef c_api.fastinit_run run = c_api.fastinit_run(threads, NULL)
    if stopped:
        run.poll = stop
    cdef size_t elements = c_api.fastinit_orthogonal_work(rows, columns, count, run)
    cdef unsigned char[::1] work = bytearray(elements * (4 if dtype == "float32" else 8))
    cdef int status
    with nogil:
        status = c_api.fastinit_orthogonal(
            &out[0], type, &work[0], first, count, rows, columns, seed, gain, run
        )
    return status


def derive_seed(uint64_t root, bytes name):
    return c_api.fastinit_derive_seed(root, name, len(name))


def philox(counter, key):
    cdef uint32_t[4] c = counter
    cdef uint32_t[2] k = key
    cdef uint32_t[4] x
    c_api.fastinit_philox(c, k, x)
    return tuple(x)


def build():
    """Return the ISA in use, the version of OpenMP, and the limit of threads."""
    return (
        c_api.fastinit_isa().decode(), c_api.fastinit_openmp(), c_api.fastinit_thread_limit()
    )


def polls():
    """Return how often stop() was called."""
    return calls_of_poll
