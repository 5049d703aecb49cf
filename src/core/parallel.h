#ifndef FASTINIT_PARALLEL_H
#define FASTINIT_PARALLEL_H

#include "fastinit.h"
#include "ops.h"

void fastinit_parallel_init(void); /* once: guards children of fork() */

/* kernel over rows of elements of size bytes, in pieces, on up to run.threads threads. */
void fastinit_parallel(fastinit_kernel *kernel, void *out, size_t size, const fastinit_rows *rows,
                       const fastinit_args *args, fastinit_run run);

#endif
