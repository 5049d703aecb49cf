"""The functions of fastinit.h for Cython: `from fastinit.c_api cimport fastinit_normal`.

They need no header, no linking and no GIL.  The names, the types and what the functions do are
those of include/fastinit.h, which `fastinit.get_include()` finds.

A fill returns 0 (FASTINIT_OK), or -1 if `poll` has stopped it; if `poll` has set an exception, as
`fastinit_check_signals` does, Cython raises it.
"""

from libc.stdint cimport uint32_t, uint64_t


cdef enum:
    FASTINIT_STOPPED = -1
    FASTINIT_OK = 0
    FASTINIT_LAYERS = 512

ctypedef struct fastinit_run:
    int threads
    int (*poll)() noexcept nogil

ctypedef enum fastinit_type:
    FASTINIT_U32
    FASTINIT_U64
    FASTINIT_F16
    FASTINIT_BF16
    FASTINIT_F32
    FASTINIT_F64

ctypedef struct fastinit_spans:
    const uint64_t *starts
    size_t count, length
    int keyed

ctypedef struct fastinit_window:
    double start, slope
    float[FASTINIT_LAYERS] width_f32
    float[FASTINIT_LAYERS] inner_f32
    double[FASTINIT_LAYERS] width_f64
    double[FASTINIT_LAYERS] inner_f64
    double[FASTINIT_LAYERS][4] layer

cdef const char *fastinit_isa() noexcept nogil
cdef int fastinit_openmp() noexcept nogil
cdef int fastinit_thread_limit() noexcept nogil

cdef uint64_t fastinit_derive_seed(uint64_t root, const char *name, size_t length) noexcept nogil

cdef void fastinit_window_init(
    fastinit_window *window, double lower, double upper
) noexcept nogil

cdef int fastinit_bits(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed, fastinit_run run
) except? -1 nogil

cdef int fastinit_uniform(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double minval, double maxval, fastinit_run run,
) except? -1 nogil

cdef int fastinit_normal(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double mean, double stddev, fastinit_run run,
) except? -1 nogil

cdef int fastinit_truncated(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double mean, double stddev, fastinit_run run,
) except? -1 nogil

cdef int fastinit_between(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double mean, double stddev, double lower, double upper,
    const fastinit_window *window, fastinit_run run,
) except? -1 nogil

cdef size_t fastinit_orthogonal_work(
    size_t rows, size_t columns, size_t count, fastinit_run run
) noexcept nogil

cdef int fastinit_orthogonal(
    void *out, fastinit_type type, void *work, uint64_t first, size_t count,
    size_t rows, size_t columns, uint64_t seed, double gain, fastinit_run run,
) except? -1 nogil

cdef void fastinit_philox(
    const uint32_t *counter, const uint32_t *key, uint32_t *out
) noexcept nogil

# This is a poll: see check_signals in fastinit_python.h.
cdef int fastinit_check_signals() noexcept nogil
