#ifndef FASTINIT_PARALLEL_H
#define FASTINIT_PARALLEL_H

#include <stdatomic.h>

#include "fastinit.h"
#include "ops.h"

void fastinit_parallel_init(void); /* once: guards children of fork() */

/* kernel over rows of elements of size bytes, in pieces, on up to run.threads threads. */
void fastinit_parallel(fastinit_kernel *kernel, void *out, size_t size, const fastinit_rows *rows,
                       const fastinit_args *args, fastinit_run run);

/* For work of several steps: looks for an interrupt all through it. */
typedef struct {
    int (*poll)(void);
    double polled; /* of the caller's thread alone */
    atomic_int stop;
} fastinit_watch;

fastinit_watch fastinit_watch_begin(fastinit_run run);
int fastinit_stopped(fastinit_watch *watch);

/* Within a task, on its thread: looks if that is the caller's, and whether to stop. */
int fastinit_look(fastinit_watch *watch, size_t thread);

/* How many threads there may be, at most so many. */
size_t fastinit_threads(size_t most, fastinit_run run);

/* task(context, i, thread) for i = 0 ... count - 1, each on one of these threads, in any order. */
typedef void fastinit_task(void *context, size_t i, size_t thread);
void fastinit_parallel_tasks(fastinit_task *task, void *context, size_t count, size_t threads,
                             fastinit_watch *watch);

#endif
