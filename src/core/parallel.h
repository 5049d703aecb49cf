/* Run work on several threads, and check for an interrupt between its parts.  Only parallel.c uses
 * OpenMP; without it everything runs on the caller's thread. */
#ifndef FASTINIT_PARALLEL_H
#define FASTINIT_PARALLEL_H

#include <stdatomic.h>

#include "fastinit.h"
#include "ops.h"

/* Make the children of fork() run on one thread; call it once. */
void fastinit_parallel_init(void);

/* Return how many threads the work may have: as many as run allows, and at most `most`. */
size_t fastinit_threads(size_t most, fastinit_run run);

/* Run the kernel over the spans, whose elements have that many bytes, in pieces, and return what a
 * fill returns. */
int fastinit_parallel(fastinit_kernel *kernel, void *out, size_t size, const fastinit_spans *spans,
                      const fastinit_args *args, fastinit_run run);

/* When to check for an interrupt next.  Work of several steps has one watch for all of them. */
typedef struct {
    int (*poll)(void);
    double polled; /* when the caller's thread last called poll */
    atomic_int stop;
} fastinit_watch;

fastinit_watch fastinit_watch_begin(fastinit_run run);
int fastinit_stopped(fastinit_watch *watch);
int fastinit_status(fastinit_watch *watch); /* what a fill returns */

/* Return whether to stop.  A task calls it on its thread; on the caller's it also calls poll. */
int fastinit_look(fastinit_watch *watch, size_t thread);

/* Run task(context, i, thread) for i = 0 ... count - 1, in any order, on that many threads. */
typedef void fastinit_task(void *context, size_t i, size_t thread);
void fastinit_parallel_tasks(fastinit_task *task, void *context, size_t count, size_t threads,
                             fastinit_watch *watch);

#endif
