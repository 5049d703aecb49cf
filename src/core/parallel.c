#include "parallel.h"

#include <time.h>

#include "fpenv.h"
#include "streaming.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <sched.h>
#define give_way() sched_yield()
#else
#define give_way() ((void)0)
#endif

/* Work is handed out in pieces.  They have 2 MiB, so that a fresh huge page is touched by one
 * thread; they are smaller where there would be too few of them to balance the threads. */
enum { PIECE_MAX = 2 << 20, PIECE_MIN = 32 << 10, PIECES_A_THREAD = 4 };

/* This is the least work, in bytes, for which it pays to wake a thread (some 10 us). */
enum { THREAD_MIN = 128 << 10 };

#define POLL_SECONDS 0.05

static atomic_int forked;

#if defined(__unix__) || defined(__APPLE__)
static void in_child(void)
{
    /* libgomp waits forever for the threads that fork() did not copy, whichever library of the
     * process had started them. */
    atomic_store(&forked, 1);
}

void fastinit_parallel_init(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&done))
        pthread_atfork(NULL, NULL, in_child);
}
#else
void fastinit_parallel_init(void) {}
#endif

int fastinit_openmp(void)
{
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct {
    fastinit_kernel *kernel;
    char *out;
    size_t size;     /* bytes of an element */
    size_t n, piece; /* elements */
    int streamed;
    const fastinit_spans *spans;
    const fastinit_args *args;
    fastinit_watch watch;
} job;

fastinit_watch fastinit_watch_begin(fastinit_run run)
{
    return (fastinit_watch){run.poll, run.poll ? seconds() : 0, 0};
}

int fastinit_stopped(fastinit_watch *w)
{
    return atomic_load_explicit(&w->stop, memory_order_relaxed);
}

/* Call poll if it is due.  The caller's thread does so between pieces of work. */
static void look(fastinit_watch *w)
{
    double now = seconds();
    /* If now < polled, the clock was set back. */
    if (now - w->polled > POLL_SECONDS || now < w->polled) {
        w->polled = now;
        if (w->poll())
            atomic_store(&w->stop, 1);
    }
}

int fastinit_look(fastinit_watch *w, size_t thread)
{
    if (thread == 0 && w->poll)
        look(w);
    return fastinit_stopped(w);
}

size_t fastinit_threads(size_t most, fastinit_run run)
{
    size_t threads = run.threads < 1 ? 1 : (size_t)run.threads;
    return !fastinit_openmp() || atomic_load(&forked) ? 1 : size_min(most, threads);
}

static void do_piece(job *j, size_t i, int callers_thread)
{
    if (fastinit_stopped(&j->watch))
        return;
    size_t first = i * j->piece;
    size_t count = size_min(j->n - first, j->piece);
    fastinit_fpenv saved = fastinit_fpenv_enter();
    char *out = j->out + first * j->size;
    if (j->streamed)
        fastinit_stream(j->kernel, out, j->size, j->spans, first, count, j->args);
    else
        j->kernel(out, j->spans, first, count, j->args);
    fastinit_fpenv_leave(saved);
    if (callers_thread && j->watch.poll)
        look(&j->watch);
}

void fastinit_parallel(fastinit_kernel *kernel, void *out, size_t size, const fastinit_spans *spans,
                       const fastinit_args *args, fastinit_run run)
{
    const size_t n = spans->count * spans->length;
    const size_t threads = fastinit_threads(n * size / THREAD_MIN, run);

    size_t bytes = PIECE_MAX;
    if (threads > 1) {
        bytes = n * size / (threads * PIECES_A_THREAD) / PIECE_MIN * PIECE_MIN;
        bytes = bytes < PIECE_MIN ? PIECE_MIN : bytes > PIECE_MAX ? PIECE_MAX : bytes;
    }
    const int streamed = fastinit_streams(threads, n * size);
    job j = {kernel, out, size, n, bytes / size, streamed, spans, args, {run.poll, 0, 0}};
    size_t pieces = n / j.piece + (n % j.piece != 0);
    if (pieces > 1)
        j.watch = fastinit_watch_begin(run);

#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel for num_threads((int)threads) schedule(dynamic)
        for (size_t i = 0; i < pieces; i++)
            do_piece(&j, i, omp_get_thread_num() == 0);
        return;
    }
#endif
    for (size_t i = 0; i < pieces; i++)
        do_piece(&j, i, pieces > 1);
}

static void do_task(fastinit_task *task, void *context, size_t i, size_t thread,
                    fastinit_watch *watch)
{
    if (fastinit_stopped(watch))
        return;
    fastinit_fpenv saved = fastinit_fpenv_enter();
    task(context, i, thread);
    fastinit_fpenv_leave(saved);
    if (thread == 0 && watch->poll)
        look(watch);
}

void fastinit_parallel_tasks(fastinit_task *task, void *context, size_t count, size_t threads,
                             fastinit_watch *watch)
{
#ifdef _OPENMP
    if (threads > 1 && count > 1) {
        atomic_size_t done = 0;
#pragma omp parallel num_threads((int)threads)
        {
            const size_t thread = (size_t)omp_get_thread_num();
#pragma omp for schedule(dynamic) nowait
            for (size_t i = 0; i < count; i++) {
                do_task(task, context, i, thread, watch);
                atomic_fetch_add(&done, 1);
            }
            /* A signal must not wait for the last tasks of the other threads. */
            while (thread == 0 && watch->poll && atomic_load(&done) < count) {
                look(watch);
                give_way();
            }
        }
        return;
    }
#else
    (void)threads;
#endif
    for (size_t i = 0; i < count; i++)
        do_task(task, context, i, 0, watch);
}
