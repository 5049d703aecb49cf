/* The functions of fastinit.h for C and C++ extensions of Python, which get them from the
 * installed package when they are imported:
 *
 *     static const fastinit_api *fastinit;
 *     ...
 *     fastinit = fastinit_import(); // in the function that initializes the module
 *     if (!fastinit)
 *         return NULL;
 *     ...
 *     fastinit->normal(out, FASTINIT_F32, spans, seed, 0, 1, run);
 *
 * Nothing is linked, so do not call the functions of fastinit.h by their own names.  Each function
 * below is the one of fastinit.h that has the prefix fastinit_.  The package has already called
 * fastinit_init().  The functions do not need the GIL. */
#ifndef FASTINIT_PYTHON_H
#define FASTINIT_PYTHON_H

#include <Python.h>

#include "fastinit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The name of the capsule that holds the table. */
#define FASTINIT_CAPSULE "fastinit._kernels.C_API"

/* New functions are added at the end; any other change changes FASTINIT_ABI_VERSION. */
typedef struct {
    int abi_version, stream_version;
    size_t size; /* of the table, in bytes */
    const char *(*isa)(void);
    int (*openmp)(void);
    int (*thread_limit)(void);
    uint64_t (*derive_seed)(uint64_t root, const char *name, size_t length);
    void (*window_init)(fastinit_window *window, double lower, double upper);
    int (*bits)(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
                fastinit_run run);
    int (*uniform)(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
                   double minval, double maxval, fastinit_run run);
    int (*normal)(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed, double mean,
                  double stddev, fastinit_run run);
    int (*truncated)(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
                     double mean, double stddev, fastinit_run run);
    int (*between)(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed, double mean,
                   double stddev, double lower, double upper, const fastinit_window *window,
                   fastinit_run run);
    size_t (*orthogonal_work)(size_t rows, size_t columns, size_t count, fastinit_run run);
    int (*orthogonal)(void *out, fastinit_type type, void *work, uint64_t first, size_t count,
                      size_t rows, size_t columns, uint64_t seed, double gain, fastinit_run run);
    void (*philox)(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
    /* A poll for fastinit_run, which lets Ctrl-C stop a fill.  It takes the GIL and has Python call
     * its signal handlers, which Python does only on the main thread.  If a handler raises an
     * exception, it is set in the calling thread and the fill returns FASTINIT_STOPPED. */
    int (*check_signals)(void);
} fastinit_api;

/* Import the package and return its functions, or set an exception and return NULL: ImportError if
 * fastinit is not installed, or differs in version from this file; RuntimeError if FASTINIT_ISA or
 * FASTINIT_HIDE_ISA is wrong.  It needs the GIL. */
static inline const fastinit_api *fastinit_import(void)
{
    const fastinit_api *api = (const fastinit_api *)PyCapsule_Import(FASTINIT_CAPSULE, 0);
    if (!api)
        return NULL;
    if (api->abi_version != FASTINIT_ABI_VERSION || api->size < sizeof *api) {
        PyErr_Format(PyExc_ImportError,
                     "compiled with version %d of the C interface of fastinit and a table of %zu "
                     "bytes, but the installed fastinit has version %d and %zu bytes",
                     FASTINIT_ABI_VERSION, sizeof *api, api->abi_version, api->size);
        return NULL;
    }
    return api;
}

#ifdef __cplusplus
}
#endif

#endif
