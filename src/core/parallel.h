#ifndef FASTINIT_PARALLEL_H
#define FASTINIT_PARALLEL_H

#include "fastinit.h"
#include "ops.h"

void fastinit_parallel_init(void); /* once: guards children of fork() */

/* kernel over n elements of size bytes, in pieces, on up to run.threads threads. */
void fastinit_parallel(fastinit_kernel *kernel, void *out, size_t size, uint64_t start, size_t n,
                       const fastinit_args *args, fastinit_run run);

#endif
