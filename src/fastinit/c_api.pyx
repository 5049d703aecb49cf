# cython: language_level=3, freethreading_compatible=True
"""Export the functions of fastinit.h to other Cython modules, which find them in c_api.pxd.

Python code cannot call them.  The functions are those of the table that fastinit_python.h
describes.  c_api.pxd declares its own types, so that its users need no header; this module converts
them to those of fastinit.h.
"""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "fastinit_python.h" nogil:
    ctypedef int c_type "fastinit_type"
    ctypedef struct c_window "fastinit_window":
        pass
    ctypedef struct c_run "fastinit_run":
        int threads
        int (*poll)() noexcept nogil
    ctypedef struct c_spans "fastinit_spans":
        const uint64_t *starts
        size_t count, length
        int keyed
    ctypedef struct fastinit_api:
        const char *(*isa)() noexcept nogil
        int (*openmp)() noexcept nogil
        int (*thread_limit)() noexcept nogil
        uint64_t (*derive_seed)(uint64_t, const char *, size_t) noexcept nogil
        void (*window_init)(c_window *, double, double) noexcept nogil
        int (*bits)(void *, c_type, c_spans, uint64_t, c_run) noexcept nogil
        int (*uniform)(void *, c_type, c_spans, uint64_t, double, double, c_run) noexcept nogil
        int (*normal)(void *, c_type, c_spans, uint64_t, double, double, c_run) noexcept nogil
        int (*truncated)(void *, c_type, c_spans, uint64_t, double, double, c_run) noexcept nogil
        int (*between)(
            void *, c_type, c_spans, uint64_t, double, double, double, double, const c_window *,
            c_run,
        ) noexcept nogil
        size_t (*orthogonal_work)(size_t, size_t, size_t, c_run) noexcept nogil
        int (*orthogonal)(
            void *, c_type, void *, uint64_t, size_t, size_t, size_t, uint64_t, double, c_run
        ) noexcept nogil
        void (*philox)(const uint32_t *, const uint32_t *, uint32_t *) noexcept nogil
        int (*check_signals)() noexcept nogil

cdef extern from "fastinit_python.h":
    const fastinit_api *fastinit_import() except NULL


cdef const fastinit_api *api = fastinit_import()


cdef inline c_spans as_c_spans(fastinit_spans spans) noexcept nogil:
    return c_spans(spans.starts, spans.count, spans.length, spans.keyed)


cdef inline c_run as_c_run(fastinit_run run) noexcept nogil:
    return c_run(run.threads, run.poll)


cdef const char *fastinit_isa() noexcept nogil:
    return api.isa()


cdef int fastinit_openmp() noexcept nogil:
    return api.openmp()


cdef int fastinit_thread_limit() noexcept nogil:
    return api.thread_limit()


cdef uint64_t fastinit_derive_seed(uint64_t root, const char *name, size_t length) noexcept nogil:
    return api.derive_seed(root, name, length)


cdef void fastinit_window_init(
    fastinit_window *window, double lower, double upper
) noexcept nogil:
    api.window_init(<c_window *>window, lower, upper)


cdef int fastinit_bits(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed, fastinit_run run
) except? -1 nogil:
    return api.bits(out, <c_type>type, as_c_spans(spans), seed, as_c_run(run))


cdef int fastinit_uniform(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double minval, double maxval, fastinit_run run,
) except? -1 nogil:
    return api.uniform(
        out, <c_type>type, as_c_spans(spans), seed, minval, maxval, as_c_run(run)
    )


cdef int fastinit_normal(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double mean, double stddev, fastinit_run run,
) except? -1 nogil:
    return api.normal(out, <c_type>type, as_c_spans(spans), seed, mean, stddev, as_c_run(run))


cdef int fastinit_truncated(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double mean, double stddev, fastinit_run run,
) except? -1 nogil:
    return api.truncated(
        out, <c_type>type, as_c_spans(spans), seed, mean, stddev, as_c_run(run)
    )


cdef int fastinit_between(
    void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
    double mean, double stddev, double lower, double upper,
    const fastinit_window *window, fastinit_run run,
) except? -1 nogil:
    return api.between(
        out, <c_type>type, as_c_spans(spans), seed, mean, stddev, lower, upper,
        <const c_window *>window, as_c_run(run),
    )


cdef size_t fastinit_orthogonal_work(
    size_t rows, size_t columns, size_t count, fastinit_run run
) noexcept nogil:
    return api.orthogonal_work(rows, columns, count, as_c_run(run))


cdef int fastinit_orthogonal(
    void *out, fastinit_type type, void *work, uint64_t first, size_t count,
    size_t rows, size_t columns, uint64_t seed, double gain, fastinit_run run,
) except? -1 nogil:
    return api.orthogonal(
        out, <c_type>type, work, first, count, rows, columns, seed, gain, as_c_run(run)
    )


cdef void fastinit_philox(
    const uint32_t *counter, const uint32_t *key, uint32_t *out
) noexcept nogil:
    api.philox(counter, key, out)


cdef int fastinit_check_signals() noexcept nogil:
    return api.check_signals()
