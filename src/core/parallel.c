#ifdef __linux__
#define _GNU_SOURCE /* syscall() */
#endif
#include "parallel.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fpenv.h"
#include "streaming.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#define HAS_PTHREADS
#include <pthread.h>
#include <sched.h>
#define give_way() sched_yield()
#else
#define give_way() ((void)0)
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Work is handed out in pieces.  They have 2 MiB, so that a fresh huge page is touched by one
 * thread; they are smaller where there would be too few of them to balance the threads. */
enum { PIECE_MAX = 2 << 20, PIECE_MIN = 32 << 10, PIECES_A_THREAD = 4 };

/* This is the least work, in bytes, for which it pays to wake a thread (some 10 us). */
enum { THREAD_MIN = 128 << 10 };

#define POLL_SECONDS 0.05

static atomic_int forked;

#ifdef HAS_PTHREADS
static void in_child(void)
{
    /* libgomp waits forever for the threads that fork() did not copy, whichever library of the
     * process had started them. */
    atomic_store(&forked, 1);
}

static void survive_forks(void) { pthread_atfork(NULL, NULL, in_child); }
#else
static void survive_forks(void) {}
#endif

int fastinit_openmp(void)
{
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

#ifdef _OPENMP

static int threads_at_start;

int fastinit_thread_limit(void)
{
    if (omp_get_active_level() >= omp_get_max_active_levels())
        return 1; /* the caller is one of a team that starts no further ones */
    const int limit = omp_get_thread_limit(), threads = omp_get_max_threads();
    /* omp_get_max_threads() differs if threadpoolctl, or a library that shares OpenMP, set it. */
    return threads != threads_at_start && threads < limit ? threads : limit;
}

int fastinit_places(void)
{
    return omp_get_proc_bind() == omp_proc_bind_false ? 0 : omp_get_num_places();
}

int fastinit_place(int place, int *processors, int most)
{
    const int n = omp_get_place_num_procs(place);
    if (n <= most)
        omp_get_place_proc_ids(place, processors);
    return n;
}

#ifdef HAS_PTHREADS

/* OpenMP ends the process if it cannot create a thread: a limit on processes, threads or memory
 * may forbid it.  So before a team grows, as many trial threads as it lacks are created.  They all
 * wait until the last one exists, and end.  The team gets as many threads as could be created. */

enum { MOST_THREADS = 4096 }; /* as set_num_threads() allows */

/* The stack of a trial thread is larger than that of OpenMP's threads, which take over the memory
 * of the trial threads if the C library keeps it.  libomp's threads also allocate memory, for
 * which the C library maps 128 MiB for each of them. */
static size_t stack_size; /* 0: the system's */
#ifdef KMP_VERSION_MAJOR
enum { STACK_MARGIN = 129 << 20 };
static void read_stack_size(void)
{
    /* libomp reads the environment now.  One of its assertions may end the process if this variable
     * does not begin with a number, so the variable is hidden from it then. */
    static const char name[] = "OMP_NUM_THREADS";
    char hidden[64];
    const char *value = getenv(name);
    const int hide = value && strlen(value) < sizeof hidden &&
                     !isdigit((unsigned char)value[strspn(value, " \t")]);
    if (hide) {
        strcpy(hidden, value);
        unsetenv(name);
    }
    stack_size = kmp_get_stacksize_s();
    omp_get_max_threads();
    if (hide)
        setenv(name, hidden, 1);
}
#else
enum { STACK_MARGIN = 1 << 20 };
/* Read what libgomp reads: a number and B, K, M or G. */
static void read_stack_size(void)
{
    static const char units[] = "BKMG";
    const char *text = getenv("OMP_STACKSIZE");
    if (!text)
        text = getenv("GOMP_STACKSIZE");
    char *end;
    size_t size = text ? strtoull(text, &end, 10) : 0;
    int shift = 10;
    if (!size)
        return;
    while (*end == ' ')
        end++;
    for (int unit = 0; *end && unit < 4; unit++)
        if ((*end & ~0x20) == units[unit])
            shift = 10 * unit;
    if (size <= SIZE_MAX / 2 >> shift)
        stack_size = size << shift;
}
#endif

/* Held from the trial until the team runs, so that no other thread counts the same ones. */
static pthread_mutex_t growth = PTHREAD_MUTEX_INITIALIZER;

static pthread_mutex_t trial = PTHREAD_MUTEX_INITIALIZER; /* the trial ends by unlocking */

static struct {
    pthread_t thread;
    long id;
} tried[MOST_THREADS];

#ifdef __linux__
static long own_id(void) { return syscall(SYS_gettid); }
static int exists(long id) { return syscall(SYS_tgkill, getpid(), id, 0) == 0; }
/* A thread that was joined still counts until the system has let go of it. */
static void await_removal(long id)
{
    while (exists(id))
        give_way();
}
#else
/* Elsewhere the library is libomp, whose threads stay. */
static long own_id(void) { return 0; }
static int exists(long id) { return id == 0; }
static void await_removal(long id) { (void)id; }
#endif

static void *await_end_of_trial(void *id)
{
    *(long *)id = own_id();
    pthread_mutex_lock(&trial);
    pthread_mutex_unlock(&trial);
    return NULL;
}

/* Return how many more threads can be had, at most `most`. */
static size_t try_threads(size_t most)
{
    pthread_attr_t attributes;
    size_t came = 0, size = 0;
    if (pthread_attr_init(&attributes))
        return 0;
    pthread_attr_getstacksize(&attributes, &size);
    size = (size < stack_size ? stack_size : size) + STACK_MARGIN;
    pthread_attr_setstacksize(&attributes, size);
    pthread_mutex_lock(&trial);
    while (came < size_min(most, MOST_THREADS) &&
           !pthread_create(&tried[came].thread, &attributes, await_end_of_trial, &tried[came].id))
        came++;
    pthread_mutex_unlock(&trial);
    pthread_attr_destroy(&attributes);
    for (size_t i = 0; i < came; i++)
        pthread_join(tried[i].thread, NULL);
    for (size_t i = 0; i < came; i++)
        await_removal(tried[i].id);
    return came;
}

/* The team that the library keeps for the calling thread, as our last call left it. */
static _Thread_local struct {
    size_t threads;
    long last; /* the id of its last thread, which is the first to be removed */
} team;

/* Return how many threads, at most `wanted`, a team of the calling thread can have.  If *grows is
 * set, `growth` is locked until the team runs. */
static size_t begin_team(size_t wanted, int *grows)
{
    /* Another user of the library may have made the team smaller since. */
    const size_t has = team.threads > 1 && exists(team.last) ? team.threads : 1;
    /* A team that is bound to places may be made anew when its size changes. */
    const int is_bound = omp_get_proc_bind() != omp_proc_bind_false;
    *grows = wanted > has || (is_bound && wanted != has);
    if (!*grows)
        return wanted;
    pthread_mutex_lock(&growth);
    size_t threads = is_bound ? 1 + try_threads(wanted - 1) : has + try_threads(wanted - has);
    if (threads < has && has <= wanted)
        threads = has; /* the same as before: nothing is made anew */
    if (threads == 1) {
        pthread_mutex_unlock(&growth);
        *grows = 0;
    }
    return threads;
}

static void team_runs(void) { pthread_mutex_unlock(&growth); }

static void end_team(size_t threads, long last)
{
    team.threads = threads;
    team.last = last;
}

#else
static void read_stack_size(void) {}
static long own_id(void) { return 0; }
static size_t begin_team(size_t wanted, int *grows)
{
    *grows = 0;
    return wanted;
}
static void team_runs(void) {}
static void end_team(size_t threads, long last) { (void)threads, (void)last; }
#endif

/* Run the body on each thread of a team, or return 0 if only the caller's can be had. */
static int run_team(void (*body)(void *context, size_t thread), void *context, size_t wanted)
{
    int grows;
    const size_t threads = begin_team(wanted, &grows);
    size_t came = 1;
    long last = 0;
    if (threads == 1)
        return 0;
#pragma omp parallel num_threads((int)threads)
    {
        const size_t thread = (size_t)omp_get_thread_num();
        if (thread == 0 && grows)
            team_runs();
        if (thread + 1 == (size_t)omp_get_num_threads()) {
            came = thread + 1;
            last = own_id();
        }
        body(context, thread);
    }
    end_team(came, last);
    return 1;
}

void fastinit_parallel_init(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&done))
        return;
    survive_forks();
    read_stack_size();
    threads_at_start = omp_get_max_threads();
}

#else

int fastinit_thread_limit(void) { return INT_MAX; }
int fastinit_places(void) { return 0; }
int fastinit_place(int place, int *processors, int most)
{
    (void)place, (void)processors, (void)most;
    return 0;
}

static int run_team(void (*body)(void *context, size_t thread), void *context, size_t wanted)
{
    (void)body, (void)context, (void)wanted;
    return 0;
}

void fastinit_parallel_init(void) { survive_forks(); }

#endif

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
    size_t pieces;
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

int fastinit_status(fastinit_watch *w)
{
    return fastinit_stopped(w) ? FASTINIT_STOPPED : FASTINIT_OK;
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
    if (run.threads <= 1 || most <= 1 || !fastinit_openmp() || atomic_load(&forked))
        return 1;
    const size_t limit = (size_t)fastinit_thread_limit();
    return size_min(size_min(most, (size_t)run.threads), limit);
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

static void do_pieces(void *context, size_t thread)
{
    job *j = context;
#ifdef _OPENMP
#pragma omp for schedule(dynamic)
#endif
    for (size_t i = 0; i < j->pieces; i++)
        do_piece(j, i, thread == 0);
}

int fastinit_parallel(fastinit_kernel *kernel, void *out, size_t size, const fastinit_spans *spans,
                      const fastinit_args *args, fastinit_run run)
{
    const size_t n = spans->count * spans->length;
    const size_t threads = fastinit_threads(n * size / THREAD_MIN, run);

    size_t bytes = PIECE_MAX;
    if (threads > 1) {
        bytes = n * size / (threads * PIECES_A_THREAD) / PIECE_MIN * PIECE_MIN;
        bytes = bytes < PIECE_MIN ? PIECE_MIN : bytes > PIECE_MAX ? PIECE_MAX : bytes;
    }
    const size_t piece = bytes / size, pieces = n / piece + (n % piece != 0);
    const int streamed = fastinit_streams(threads, n * size);
    job j = {kernel, out, size, n, piece, pieces, streamed, spans, args, {run.poll, 0, 0}};
    if (pieces > 1)
        j.watch = fastinit_watch_begin(run);

    if (threads > 1 && run_team(do_pieces, &j, threads))
        return fastinit_status(&j.watch);
    j.streamed = 0; /* The system gave no other thread. */
    for (size_t i = 0; i < pieces; i++)
        do_piece(&j, i, pieces > 1);
    return fastinit_status(&j.watch);
}

typedef struct {
    fastinit_task *task;
    void *context;
    size_t count;
    atomic_size_t done;
    fastinit_watch *watch;
} tasks;

static void do_task(tasks *t, size_t i, size_t thread)
{
    if (fastinit_stopped(t->watch))
        return;
    fastinit_fpenv saved = fastinit_fpenv_enter();
    t->task(t->context, i, thread);
    fastinit_fpenv_leave(saved);
    if (thread == 0 && t->watch->poll)
        look(t->watch);
}

static void do_tasks(void *context, size_t thread)
{
    tasks *t = context;
#ifdef _OPENMP
#pragma omp for schedule(dynamic) nowait
#endif
    for (size_t i = 0; i < t->count; i++) {
        do_task(t, i, thread);
        atomic_fetch_add(&t->done, 1);
    }
    /* A signal must not wait for the last tasks of the other threads. */
    while (thread == 0 && t->watch->poll && atomic_load(&t->done) < t->count) {
        look(t->watch);
        give_way();
    }
}

void fastinit_parallel_tasks(fastinit_task *task, void *context, size_t count, size_t threads,
                             fastinit_watch *watch)
{
    tasks t = {task, context, count, 0, watch};
    if (threads > 1 && count > 1 && run_team(do_tasks, &t, threads))
        return;
    for (size_t i = 0; i < count; i++)
        do_task(&t, i, 0);
}
