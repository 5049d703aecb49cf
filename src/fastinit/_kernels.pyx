# cython: language_level=3, boundscheck=False, freethreading_compatible=True
"""The binding of the C core (include/fastinit.h).

It passes pointers on and makes no values.  It also finds where rows begin, which would take longer
in Python than making them: `Rows` checks their ids and lists their starts, and `fill_rows` joins
rows that follow each other.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_Occurred
from cpython.long cimport PyLong_AsUnsignedLongLongMask
from cpython.pycapsule cimport PyCapsule_New
from libc.float cimport DBL_MAX, FLT_MAX
from libc.stdlib cimport free, malloc
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "Python.h":
    size_t PY_SSIZE_T_MAX
    # The declaration of cpython.exc would print the exception and drop it.
    int PyErr_CheckSignals() noexcept
    # These set an error, which the caller must look for.  Cython's `except` is not used for that:
    # it ends the process if there is no memory for the traceback.
    int try_buffer "PyObject_GetBuffer"(object, Py_buffer *, int) noexcept
    unsigned long long try_word "PyLong_AsUnsignedLongLong"(object) noexcept
    bint PyErr_ExceptionMatches(object) noexcept
    void PyErr_Clear() noexcept

cdef extern from *:
    const char *FASTINIT_VERSION  # meson.build defines it as the version of the project

cdef extern from "fastinit.h" nogil:
    int FASTINIT_STREAM_VERSION
    int FASTINIT_ISA_UNKNOWN, FASTINIT_ISA_UNAVAILABLE
    int FASTINIT_HIDE_ISA_UNKNOWN, FASTINIT_HIDE_ISA_PORTABLE
    ctypedef struct fastinit_run:
        int threads
        int (*poll)() noexcept nogil
    int fastinit_init()
    const char *const *fastinit_isas()
    int fastinit_isa_built(const char *name)
    int fastinit_isa_available(const char *name)
    int fastinit_use_isa(const char *name)
    const char *fastinit_isa()
    int fastinit_openmp()
    int fastinit_thread_limit()
    int fastinit_places()
    int fastinit_place(int place, int *processors, int most)
    int fastinit_is_private(const void *, size_t)
    int fastinit_populate(void *, size_t)
    ctypedef enum fastinit_type:
        FASTINIT_U32, FASTINIT_U64, FASTINIT_F16, FASTINIT_BF16, FASTINIT_F32, FASTINIT_F64
    ctypedef struct fastinit_spans:
        const uint64_t *starts
        size_t count, length
        int keyed
    ctypedef struct fastinit_window:
        pass
    void fastinit_window_init(fastinit_window *, double, double)
    int fastinit_bits(void *, fastinit_type, fastinit_spans, uint64_t, fastinit_run)
    int fastinit_uniform(
        void *, fastinit_type, fastinit_spans, uint64_t, double, double, fastinit_run
    )
    int fastinit_normal(
        void *, fastinit_type, fastinit_spans, uint64_t, double, double, fastinit_run
    )
    int fastinit_truncated(
        void *, fastinit_type, fastinit_spans, uint64_t, double, double, fastinit_run
    )
    int fastinit_between(
        void *, fastinit_type, fastinit_spans, uint64_t, double, double, double, double,
        const fastinit_window *, fastinit_run
    )
    size_t fastinit_orthogonal_work(size_t, size_t, size_t, fastinit_run)
    int fastinit_orthogonal(
        void *, fastinit_type, void *, uint64_t, size_t, size_t, size_t, uint64_t, double,
        fastinit_run
    )
    uint64_t fastinit_derive_seed(uint64_t, const char *, size_t)
    void fastinit_philox(const uint32_t *, const uint32_t *, uint32_t *)
    int FASTINIT_ABI_VERSION

# The type of fastinit_uniform, fastinit_normal and fastinit_truncated.
ctypedef int (*two_parameters)(
    void *, fastinit_type, fastinit_spans, uint64_t, double, double, fastinit_run
) noexcept nogil

# The table of functions for other extensions; its types are those above.
cdef extern from "fastinit_python.h" nogil:
    const char *FASTINIT_CAPSULE
    ctypedef struct fastinit_api:
        int abi_version, stream_version
        size_t size
        const char *(*isa)() noexcept nogil
        int (*openmp)() noexcept nogil
        int (*thread_limit)() noexcept nogil
        uint64_t (*derive_seed)(uint64_t, const char *, size_t) noexcept nogil
        void (*window_init)(fastinit_window *, double, double) noexcept nogil
        int (*bits)(void *, fastinit_type, fastinit_spans, uint64_t, fastinit_run) noexcept nogil
        two_parameters uniform, normal, truncated
        int (*between)(
            void *, fastinit_type, fastinit_spans, uint64_t, double, double, double, double,
            const fastinit_window *, fastinit_run
        ) noexcept nogil
        size_t (*orthogonal_work)(size_t, size_t, size_t, fastinit_run) noexcept nogil
        int (*orthogonal)(
            void *, fastinit_type, void *, uint64_t, size_t, size_t, size_t, uint64_t, double,
            fastinit_run
        ) noexcept nogil
        void (*philox)(const uint32_t *, const uint32_t *, uint32_t *) noexcept nogil
        int (*check_signals)() noexcept nogil

cdef extern from "fenv.h" nogil:
    ctypedef struct fenv_t:
        pass
    const fenv_t *FE_DFL_ENV
    int fegetenv(fenv_t *)
    int fesetenv(const fenv_t *)

cdef extern from "fpenv.h" nogil:
    int fastinit_fpenv_is_default()


cdef int poll() noexcept nogil:
    # The exception of a signal handler stays set until finish() finds it.
    with gil:
        return PyErr_CheckSignals()


# Release the buffer, and raise what a signal handler has raised during the call.
cdef int finish(Py_buffer *view) except -1:
    PyBuffer_Release(view)
    return -1 if PyErr_Occurred() else 0


# Raise the error that is set.
cdef int raise_error() except -1:
    return -1


# Clear the error of an argument that does not fit, or raise it if it is another.
cdef int clear_misfit() except -1:
    if not PyErr_ExceptionMatches((TypeError, ValueError, BufferError, OverflowError)):
        return -1
    PyErr_Clear()
    return 0


# What to draw from: raw bits if both pointers are NULL.
cdef struct distribution:
    two_parameters function
    const fastinit_window *window
    double parameter_1, parameter_2, lower, upper


# Return the type of out's elements, or release its buffer and raise.
cdef fastinit_type type_of(out, Py_buffer *view, bint words) except *:
    cdef Py_buffer named
    cdef bint is_f16
    if view.itemsize == 8:
        return FASTINIT_U64 if words else FASTINIT_F64
    if view.itemsize == 4:
        return FASTINIT_U32 if words else FASTINIT_F32
    if view.itemsize != 2 or words:
        PyBuffer_Release(view)
        raise TypeError("no kernel for elements of this size")
    if try_buffer(out, &named, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0:
        if PyErr_ExceptionMatches(ValueError):  # NumPy has no format for bfloat16.
            PyErr_Clear()
            return FASTINIT_BF16
        PyBuffer_Release(view)
        raise_error()
    is_f16 = named.format[0] == b"e"
    PyBuffer_Release(&named)
    return FASTINIT_F16 if is_f16 else FASTINIT_BF16


cdef void call(
    distribution d, Py_buffer *view, fastinit_type type, fastinit_spans spans, uint64_t seed,
    fastinit_run run,
) noexcept nogil:
    if d.function != NULL:
        d.function(view.buf, type, spans, seed, d.parameter_1, d.parameter_2, run)
    elif d.window != NULL:
        fastinit_between(
            view.buf, type, spans, seed, d.parameter_1, d.parameter_2, d.lower, d.upper, d.window,
            run,
        )
    else:
        fastinit_bits(view.buf, type, spans, seed, run)


# Rows of a list that follow each other.
cdef struct stretch_of_rows:
    size_t first, count


# Return the first stretch of at least `least` rows that follow each other, with no rows if there is
# none.  The core takes no span that wraps around from index 2**64 - 1 to 0.
cdef stretch_of_rows next_stretch(
    const uint64_t *starts, size_t count, size_t length, size_t least
) noexcept nogil:
    cdef size_t first = 0, i
    for i in range(1, count):
        if starts[i] - starts[i - 1] != length or starts[i] < length:
            if i - first >= least:
                return stretch_of_rows(first, i - first)
            first = i
    if count - first >= least:
        return stretch_of_rows(first, count - first)
    return stretch_of_rows(count, 0)


# From this many bytes on the core wakes one thread more (THREAD_MIN of parallel.c).
cdef enum:
    BYTES_A_THREAD = 128 << 10

# A call of the core takes as long as a few rows that are not joined.
cdef enum:
    LONG_STRETCH = 16


# Fill several rows.  The core lists the blocks of short spans one by one, so a long stretch of rows
# that follow each other is made as one span.  If the rows are enough for several threads, a stretch
# must be, too: the threads work on one call at a time.
cdef fill_rows(
    distribution d, Py_buffer *view, fastinit_type type_, fastinit_spans rows, uint64_t seed,
    fastinit_run run,
):
    cdef Py_buffer part = view[0]  # the memory that is still to be filled
    cdef fastinit_spans spans
    cdef size_t bytes_a_row = rows.length * view.itemsize
    cdef size_t least = LONG_STRETCH
    cdef stretch_of_rows stretch
    spans.keyed = 0
    if run.threads > 1 and view.len >= 2 * BYTES_A_THREAD:
        least = run.threads * <size_t>BYTES_A_THREAD // bytes_a_row + 1
    least = min(least, rows.count)
    while rows.count:
        with nogil:
            stretch = next_stretch(rows.starts, rows.count, rows.length, least)
            if stretch.first:
                spans.starts, spans.count, spans.length = rows.starts, stretch.first, rows.length
                call(d, &part, type_, spans, seed, run)
                part.buf = <char *>part.buf + stretch.first * bytes_a_row
        # A signal's exception stays set, and the next call would not look for it.
        if PyErr_Occurred() or PyErr_CheckSignals():
            return
        if stretch.count:
            spans.starts, spans.count = rows.starts + stretch.first, 1
            spans.length = stretch.count * rows.length
            with nogil:
                call(d, &part, type_, spans, seed, run)
            part.buf = <char *>part.buf + stretch.count * bytes_a_row
        if PyErr_Occurred() or PyErr_CheckSignals():
            return
        rows.starts += stretch.first + stretch.count
        rows.count -= stretch.first + stretch.count


# Rows whose starts are listed at once, on each thread: their starts stay in the level-2 cache.
cdef enum:
    ROWS_AT_ONCE = 1 << 15


cdef class Rows:
    """Rows of a table by their ids; see `_kernels.pyi`."""

    cdef Py_buffer ids
    cdef size_t count
    cdef bint signed
    cdef uint64_t size, stride  # of the table in rows, of a row in elements, modulo 2**64
    cdef bint are_starts  # the ids themselves, if rows have one element and none counts from the end
    cdef readonly bint inside

    def __cinit__(self, ids, bint signed, rows, stride):
        cdef const uint64_t *id
        cdef uint64_t below, width, outside = 0, bits = 0
        cdef bint narrow = rows <= 1 << 62
        cdef bint all_inside = rows >= (1 << 63 if signed else 1 << 64)
        cdef size_t i
        PyObject_GetBuffer(ids, &self.ids, PyBUF_C_CONTIGUOUS)
        if self.ids.itemsize != 8:
            raise ValueError("ids must be integers of 64 bits")
        self.size = PyLong_AsUnsignedLongLongMask(rows)
        self.stride = PyLong_AsUnsignedLongLongMask(stride)
        self.signed = signed
        self.count = self.ids.len // 8
        id = <const uint64_t *>self.ids.buf
        # An id is inside if id + below is in [0, width).
        below, width = (self.size if signed else 0), self.size + (self.size if signed else 0)
        with nogil:
            if narrow:
                # Bit 63 of x is set if x is negative, of width - 1 - x if x is too large.  That
                # needs no comparison, which takes four times as long: SSE2 has none of 64 bits.
                for i in range(self.count):
                    outside |= (id[i] + below) | (width - 1 - (id[i] + below))
                    bits |= id[i]
                outside >>= 63
            elif not all_inside:
                for i in range(self.count):
                    outside |= id[i] + below >= width
        self.inside = not outside
        self.are_starts = narrow and self.stride == 1 and bits >> 63 == 0

    def __dealloc__(self):
        PyBuffer_Release(&self.ids)

    # Write where rows begin, from row `first` on; all arithmetic is modulo 2**64.
    cdef void list_starts(self, size_t first, size_t count, uint64_t *starts) noexcept nogil:
        cdef const uint64_t *id = <const uint64_t *>self.ids.buf + first
        cdef uint64_t stride = self.stride, from_the_end = self.size if self.signed else 0
        cdef size_t i
        for i in range(count):
            starts[i] = id[i] + (from_the_end & -(id[i] >> 63))
        # SSE2 has no product of 64 bits: it takes longer than all else here.
        if stride != 1:
            for i in range(count):
                starts[i] *= stride

    def starts(self, buffer):
        """Write where all rows begin into a buffer of as many uint64."""
        cdef uint64_t[::1] to = buffer
        if <size_t>to.shape[0] != self.count:
            raise ValueError("there must be as many starts as ids")
        if self.count:
            self.list_starts(0, self.count, &to[0])


# Fill rows by their ids.  The starts of many are listed a part at a time, since it takes as long to
# get fresh memory for all of them as to fill it.
cdef fill_rows_by_id(
    distribution d, Py_buffer *view, fastinit_type type_, Rows rows, uint64_t seed, fastinit_run run
):
    cdef uint64_t few[256]
    cdef uint64_t *starts = few
    cdef size_t at_once = min(rows.count, ROWS_AT_ONCE * <size_t>max(1, run.threads)), done = 0
    cdef Py_buffer part = view[0]
    cdef fastinit_spans spans
    spans.length = view.len // view.itemsize // rows.count
    # If the rows overwrite their ids, all ids are read first.
    if (
        <char *>rows.ids.buf < <char *>view.buf + view.len
        and <char *>view.buf < <char *>rows.ids.buf + rows.ids.len
    ):
        at_once = rows.count
    elif rows.are_starts:
        spans.starts, spans.count = <const uint64_t *>rows.ids.buf, rows.count
        fill_rows(d, view, type_, spans, seed, run)
        return
    if at_once > 256:
        starts = <uint64_t *>malloc(at_once * sizeof(uint64_t))
        if starts == NULL:
            PyBuffer_Release(view)
            raise MemoryError
    while done < rows.count and not PyErr_Occurred():
        spans.starts, spans.count = starts, min(at_once, rows.count - done)
        part.len = spans.count * spans.length * view.itemsize
        with nogil:
            rows.list_starts(done, spans.count, starts)
        fill_rows(d, &part, type_, spans, seed, run)
        part.buf = <char *>part.buf + part.len
        done += spans.count
    if starts != few:
        free(starts)


# A fill of fewer bytes keeps the GIL, as fill() says.
cdef enum:
    SMALL = 4096


# Fill contiguous memory.
cdef fill(distribution d, out, start, uint64_t seed, int threads, bint keyed):
    cdef Py_buffer view
    cdef fastinit_run run = fastinit_run(threads, poll)
    cdef fastinit_spans spans
    cdef fastinit_type type_
    cdef uint64_t first
    cdef const uint64_t[::1] starts
    cdef bint words = d.function == NULL and d.window == NULL
    spans.keyed = keyed
    if type(start) is int:
        first = start
        spans.starts = &first
        spans.count = 1
    elif type(start) is Rows:
        spans.count = (<Rows>start).count
        if not (<Rows>start).inside or not spans.count or keyed:
            raise ValueError("no rows, rows outside the table, or rows with keys")
    else:
        starts = start
        if starts.shape[0] == 0:
            raise ValueError("no rows")
        spans.starts = &starts[0]
        spans.count = starts.shape[0]
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    type_ = type_of(out, &view, words)
    spans.length = view.len // view.itemsize // spans.count
    # Releasing the GIL takes 0.05 us, a sixth of the call for a few elements.  A fill of less than
    # 4096 bytes takes 30 us at most (float16 in plain C), if it is one span.  It is less than a
    # piece, so poll() is never called under the GIL.
    if type(start) is Rows:
        fill_rows_by_id(d, &view, type_, start, seed, run)
    elif spans.count > 1 and not keyed:
        fill_rows(d, &view, type_, spans, seed, run)
    elif view.len < SMALL and spans.count == 1:
        call(d, &view, type_, spans, seed, run)
    else:
        with nogil:
            call(d, &view, type_, spans, seed, run)
    finish(&view)


def enter_default_modes():
    """Set the default floating-point environment, and return the caller's if it is another."""
    cdef fenv_t callers
    if fastinit_fpenv_is_default():
        return None
    fegetenv(&callers)
    fesetenv(FE_DFL_ENV)
    return (<const char *>&callers)[: sizeof(fenv_t)]


def leave_default_modes(bytes callers):
    """Set the floating-point environment that `enter_default_modes` returned."""
    fesetenv(<const fenv_t *><const char *>callers)


# Return whether a buffer is an aligned one of float32 or float64, of that shape and dtype.
cdef bint fits(Py_buffer *view, shape, dtype):
    cdef bint fit
    cdef Py_ssize_t i = 0
    fit = view.format[0] in b"fd" and view.format[1] == 0 and <size_t>view.buf % view.itemsize == 0
    if fit and dtype is not None:
        fit = type(dtype) is str and dtype == ("float32" if view.itemsize == 4 else "float64")
    if fit and shape is not None:
        fit = type(shape) is tuple and len(<tuple>shape) == view.ndim
        while fit and i < view.ndim:
            d = (<tuple>shape)[i]
            fit = type(d) is int and d == view.shape[i]
            i += 1
    return fit


def plain(out, shape, dtype):
    """Return whether out is a float32 or float64 buffer of that shape and dtype, to be filled.

    shape is None or a tuple of int, dtype is None or a name.  Where the answer would take longer to
    find out, it is False.  Small calls ask here, which takes half a microsecond less than the same
    questions in Python.
    """
    cdef Py_buffer view
    cdef bint fit
    if try_buffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE | PyBUF_FORMAT) < 0:
        clear_misfit()
        return False
    fit = fits(&view, shape, dtype)
    PyBuffer_Release(&view)
    return fit


# Fill the memory of a view if the parameters are surely right.  It needs no signals.
cdef bint fill_few(
    Py_buffer *view, function, double a, double b, double reach, uint64_t word
) noexcept:
    cdef distribution d = distribution(fastinit_uniform, NULL, a, b, 0, 0)
    cdef double limit = FLT_MAX if view.itemsize == 4 else DBL_MAX
    cdef uint64_t start = 0
    cdef fastinit_spans spans
    if function is uniform:
        if not (-limit <= a <= b <= limit and b - a <= limit):
            return False
    else:
        if not (0 <= b <= limit and -limit <= a - reach * b and a + reach * b <= limit):
            return False
        d.function = fastinit_truncated
        if function is normal:
            d.function = fastinit_normal
    spans = fastinit_spans(&start, 1, view.len // view.itemsize, 0)
    call(d, view, FASTINIT_F32 if view.itemsize == 4 else FASTINIT_F64, spans, word,
         fastinit_run(1, NULL))
    return True


def fill_small(out, shape, dtype, first, second, seed, function, double reach):
    """Fill a small array if all arguments are surely right; see `_kernels.pyi`."""
    cdef Py_buffer view
    cdef double a, b
    cdef uint64_t word
    cdef bint done
    if type(first) is not float or type(second) is not float or type(seed) is not int:
        return False
    if not fastinit_fpenv_is_default():
        return False
    word = try_word(seed)
    if PyErr_Occurred() or try_buffer(
        out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE | PyBUF_FORMAT
    ) < 0:
        clear_misfit()
        return False
    a, b = first, second
    # The GIL is kept for as long as in fill().
    done = 0 < view.len < SMALL and fits(&view, shape, dtype)
    done = done and fill_few(&view, function, a, b, reach, word)
    if done:
        finish(&view)
    else:
        PyBuffer_Release(&view)
    return done


def fill_small_at(
    size_t address, Py_ssize_t count, int width, double first, double second, uint64_t seed,
    function, double reach
):
    """Fill a few elements at an address if all is surely right; see `_kernels.pyi`."""
    cdef Py_buffer view
    if not 0 < count < SMALL // width or not fastinit_fpenv_is_default():
        return False
    if not fastinit_is_private(<void *> address, count * width):
        return False
    view.buf, view.len, view.itemsize = <void *> address, count * width, width
    return fill_few(&view, function, first, second, reach, seed)


def address(buffer):
    """Return the address of contiguous memory, in a twentieth of the time that NumPy takes."""
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_C_CONTIGUOUS)
    where = <size_t>view.buf
    PyBuffer_Release(&view)
    return where


def is_private(buffer):
    """Return whether writing to contiguous memory surely writes to no file."""
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_C_CONTIGUOUS)
    private = fastinit_is_private(view.buf, view.len) != 0
    PyBuffer_Release(&view)
    return private


# Between pieces of this size `populate` looks for signals.
cdef enum:
    POPULATED_AT_ONCE = 64 << 20


def populate(buffer):
    """Have the system make contiguous memory writeable; return 0 or its error number."""
    cdef Py_buffer view
    cdef size_t done = 0, n
    cdef int error = 0
    PyObject_GetBuffer(buffer, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    while done < <size_t>view.len and not error:
        n = min(<size_t>view.len - done, <size_t>POPULATED_AT_ONCE)
        with nogil:
            error = fastinit_populate(<char *>view.buf + done, n)
        done += n
        if PyErr_CheckSignals():
            break
    finish(&view)
    return error


def bits(out, start, uint64_t seed, int threads, bint keyed=False):
    """Fill a buffer of uint32 or uint64 with raw bits; `_kernels.pyi` describes the arguments."""
    cdef distribution d = distribution(NULL, NULL, 0, 0, 0, 0)
    fill(d, out, start, seed, threads, keyed)


def uniform(
    out, start, uint64_t seed, double minval, double maxval, int threads, bint keyed=False
):
    """Fill a buffer with uniform values of [minval, maxval)."""
    cdef distribution d = distribution(fastinit_uniform, NULL, minval, maxval, 0, 0)
    fill(d, out, start, seed, threads, keyed)


def normal(out, start, uint64_t seed, double mean, double stddev, int threads, bint keyed=False):
    """Fill a buffer with normal values."""
    cdef distribution d = distribution(fastinit_normal, NULL, mean, stddev, 0, 0)
    fill(d, out, start, seed, threads, keyed)


def truncated(
    out, start, uint64_t seed, double mean, double stddev, int threads, bint keyed=False
):
    """Fill a buffer with normal values that lie within 2 stddev of the mean."""
    cdef distribution d = distribution(fastinit_truncated, NULL, mean, stddev, 0, 0)
    fill(d, out, start, seed, threads, keyed)


cdef class Window:
    """The normal distribution between two bounds, in standard deviations, with its table."""

    cdef fastinit_window window
    cdef readonly double lower, upper

    def __cinit__(self, double lower, double upper):
        cdef bint apart = upper - lower >= 2.0**-900
        cdef bint near = lower <= 2.0**100 and upper >= -2.0**100
        if not (apart and near):
            raise ValueError("no table for these bounds")
        self.lower, self.upper = lower, upper
        fastinit_window_init(&self.window, lower, upper)

    def __reduce__(self):
        return Window, (self.lower, self.upper)

    def __repr__(self):
        return f"Window({self.lower}, {self.upper})"

    def __eq__(self, other):
        return type(other) is Window and self.__reduce__() == other.__reduce__()

    def __hash__(self):
        return hash((self.lower, self.upper))

    def fill(
        self, out, start, uint64_t seed, double mean, double stddev, int threads, bint keyed=False
    ):
        """Fill a buffer with normal values that lie between the bounds."""
        cdef distribution d = distribution(
            NULL, &self.window, mean, stddev, self.lower, self.upper
        )
        fill(d, out, start, seed, threads, keyed)


def orthogonal_work(size_t rows, size_t columns, size_t count, int threads):
    """Return how many elements of work space `orthogonal` needs."""
    return fastinit_orthogonal_work(rows, columns, count, fastinit_run(threads, poll))


def orthogonal(
    out, work, uint64_t first, size_t rows, size_t columns, uint64_t seed, double gain, int threads
):
    """Fill a contiguous float32 or float64 buffer with the matrices first, first + 1, ..."""
    cdef Py_buffer view, space
    cdef fastinit_run run = fastinit_run(threads, poll)
    cdef size_t count
    if not rows or not columns or rows > PY_SSIZE_T_MAX // 8 // columns:
        raise ValueError("no matrix has this shape")
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    if try_buffer(work, &space, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0:
        PyBuffer_Release(&view)
        raise_error()
    if view.itemsize not in (4, 8) or space.itemsize != view.itemsize:
        PyBuffer_Release(&space)
        PyBuffer_Release(&view)
        raise TypeError("no kernel for elements of this size")
    count = view.len // (rows * columns * view.itemsize)
    if space.len < fastinit_orthogonal_work(rows, columns, count, run) * view.itemsize:
        PyBuffer_Release(&space)
        PyBuffer_Release(&view)
        raise ValueError("work is too small for so many threads")
    with nogil:
        fastinit_orthogonal(
            view.buf,
            FASTINIT_F32 if view.itemsize == 4 else FASTINIT_F64,
            space.buf, first, count, rows, columns, seed, gain, run,
        )
    PyBuffer_Release(&space)
    finish(&view)


def philox(counter, key):
    """Return one block of Philox4x32-10, of four words, by the kernels in use."""
    cdef uint32_t[4] c = counter
    cdef uint32_t[2] k = key
    cdef uint32_t[4] x
    fastinit_philox(c, k, x)
    return x[0], x[1], x[2], x[3]


cdef list all_isas():
    cdef const char *const *name = fastinit_isas()
    found = []
    while name[0] != NULL:
        found.append(name[0].decode())
        name += 1
    return found


cdef check_isa(int status, str asked):
    if status == FASTINIT_ISA_UNKNOWN:
        raise RuntimeError(f"{asked} is none of {', '.join(all_isas())}")
    if status == FASTINIT_ISA_UNAVAILABLE:
        raise RuntimeError(f"{asked} is not available here; there is: {', '.join(isas())}")


def use_isa(str name):
    """Put other kernels in use.  No other thread may be filling meanwhile."""
    check_isa(fastinit_use_isa(name.encode()), f"ISA {name!r}")


def isa():
    """Return the name of the kernels in use."""
    return fastinit_isa().decode()


def isas():
    """Return the names of the kernels that can run here and are not hidden, slowest first."""
    return [name for name in all_isas() if fastinit_isa_available(name.encode())]


def built_isas():
    """Return the names of the kernels that this build has, slowest first."""
    return [name for name in all_isas() if fastinit_isa_built(name.encode())]


def openmp():
    """Return the value of _OPENMP that the core was built with; 0 without OpenMP."""
    return fastinit_openmp()


def thread_limit():
    """Return how many threads other libraries, such as threadpoolctl, let this thread use."""
    return fastinit_thread_limit()


def bound_processors():
    """Return the processors to which OMP_PROC_BIND binds threads; none if they are not bound."""
    cdef int[1024] processors  # no place of one machine has more
    cdef int place, i, n
    found = set()
    for place in range(fastinit_places()):
        n = fastinit_place(place, processors, 1024)
        found.update([processors[i] for i in range(n if n <= 1024 else 0)])
    return found


cdef initialize():
    from os import environ

    hidden = f"FASTINIT_HIDE_ISA={environ.get('FASTINIT_HIDE_ISA')}"
    cdef int status = fastinit_init()
    if status == FASTINIT_HIDE_ISA_UNKNOWN:
        raise RuntimeError(f"{hidden} holds a name that is none of {', '.join(all_isas())}")
    if status == FASTINIT_HIDE_ISA_PORTABLE:
        raise RuntimeError(f"{hidden} holds portable, which cannot be hidden")
    check_isa(status, f"FASTINIT_ISA={environ.get('FASTINIT_ISA')}")


cdef fastinit_api api = fastinit_api(
    FASTINIT_ABI_VERSION,
    FASTINIT_STREAM_VERSION,
    sizeof(fastinit_api),
    fastinit_isa,
    fastinit_openmp,
    fastinit_thread_limit,
    fastinit_derive_seed,
    fastinit_window_init,
    fastinit_bits,
    fastinit_uniform,
    fastinit_normal,
    fastinit_truncated,
    fastinit_between,
    fastinit_orthogonal_work,
    fastinit_orthogonal,
    fastinit_philox,
    poll,
)

C_API = PyCapsule_New(&api, FASTINIT_CAPSULE, NULL)
STREAM_VERSION = FASTINIT_STREAM_VERSION
VERSION = FASTINIT_VERSION.decode()

initialize()
