# cython: language_level=3, freethreading_compatible=True
"""Fresh arrays on huge pages, by NumPy's interface for allocators (NEP 49).

NumPy owns them like any others: it can resize them, and tracemalloc counts them.
"""

import numpy as np

cdef extern from *:
    """
    #define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
    #include <numpy/arrayobject.h>
    #include <stdint.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif

    #ifdef MADV_HUGEPAGE

    enum { HUGE_PAGE = 2 << 20, PAGE = 64 << 10 };

    /* The mapping begins a page before the memory, and holds its own length there. */
    static size_t *length_of(void *memory) { return (size_t *)((char *)memory - PAGE); }

    static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

    static void *huge_malloc(void *context, size_t size)
    {
        (void)context;
        if (size > SIZE_MAX / 2)
            return NULL;
        const size_t length = PAGE + round_up(size, PAGE), spare = length + HUGE_PAGE;
        /* It is private: it must not be shared with the children of fork(). */
        char *begin = mmap(NULL, spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (begin == MAP_FAILED)
            return NULL;
        char *memory = (char *)round_up((uintptr_t)begin + PAGE, HUGE_PAGE);
        const size_t before = memory - PAGE - begin;
        if (before)
            munmap(begin, before);
        if (before < HUGE_PAGE)
            munmap(memory - PAGE + length, HUGE_PAGE - before);
        *length_of(memory) = length;
        /* The advice covers the whole mapping, because mremap() takes only one, but only whole huge
         * pages are made.  A kernel without huge pages refuses. */
        madvise(length_of(memory), length, MADV_HUGEPAGE);
        return memory;
    }

    static void *huge_calloc(void *context, size_t n, size_t size)
    {
        return size && n > SIZE_MAX / size ? NULL : huge_malloc(context, n * size);
    }

    static void *huge_realloc(void *context, void *memory, size_t size)
    {
        if (!memory)
            return huge_malloc(context, size);
        if (size > SIZE_MAX / 2)
            return NULL;
        const size_t length = PAGE + round_up(size, PAGE);
        char *begin =
            mremap(length_of(memory), *length_of(memory), length, MREMAP_MAYMOVE);
        if (begin == MAP_FAILED)
            return NULL;
        *(size_t *)begin = length;
        return begin + PAGE;
    }

    static void huge_free(void *context, void *memory, size_t size)
    {
        (void)context, (void)size;
        if (memory)
            munmap(length_of(memory), *length_of(memory));
    }

    static PyDataMem_Handler handler = {
        "fastinit_huge_pages", 1, {NULL, huge_malloc, huge_calloc, huge_realloc, huge_free}
    };

    static PyObject *new_handler(void) { return PyCapsule_New(&handler, "mem_handler", NULL); }

    #else
    static PyObject *new_handler(void) { Py_RETURN_NONE; }
    #endif
    """
    int _import_array() except -1
    object PyDataMem_SetHandler(object)
    object new_handler()

_import_array()
cdef object huge_pages = new_handler()

HAS_HUGE_PAGES = huge_pages is not None


def empty_on_huge_pages(shape, dtype):
    """Return a fresh array that begins on a huge page; this needs HAS_HUGE_PAGES."""
    before = PyDataMem_SetHandler(huge_pages)
    try:
        return np.empty(shape, dtype)
    finally:
        PyDataMem_SetHandler(before)
