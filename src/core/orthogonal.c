/* Random orthogonal matrices: this file decides in what order the tasks of householder.c run, and
 * on what memory. */
#include <string.h>

#include "dispatch.h"
#include "fastinit.h"
#include "parallel.h"

enum {
    PANEL = HOUSEHOLDER_PANEL,
    TILE = HOUSEHOLDER_TILE,
    LANES = HOUSEHOLDER_LANES,
    ALIGNMENT = 64,
    SCRATCH = HOUSEHOLDER_SCRATCH,
    DRAWN_ROWS = 8 * LANES,
};

/* A matrix with fewer elements is the work of one thread, as its panels are too short to share. */
static const size_t SHARED_FROM = 200 * 200;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

typedef struct {
    size_t rows, columns; /* rows >= columns */
    int wide;
    /* The elements of a panel, of its transpose, and of all memory for one matrix. */
    size_t v, v_transposed, matrix;
    size_t matrices, threads; /* how many are made at once, and the threads of each */
} plan;

/* Return how many threads a batch of matrices is worth.  A matrix takes 2 rows columns^2 operations
 * and thousands besides; starting a thread takes as long as a million of them. */
static size_t matrix_threads(const plan *p, size_t count)
{
    const size_t each = 2 * p->rows * p->columns * p->columns + 20000;
    return 1 + count / (2000000 / each + 1);
}

static plan make_plan(size_t rows, size_t columns, size_t count, fastinit_run run)
{
    plan p = {rows, columns, rows < columns, 0, 0, 0, 1, 1};
    if (p.wide)
        p.rows = columns, p.columns = rows;
    const size_t width = size_min(p.columns, PANEL);
    p.v = round_up(p.rows * width + LANES, ALIGNMENT); /* Products read past its end. */
    p.v_transposed = p.wide ? round_up(p.rows, LANES) * width : 0;
    p.matrix = 3 * PANEL * PANEL + round_up(PANEL, ALIGNMENT) + p.v + p.v_transposed;
    if (p.rows * p.columns < SHARED_FROM)
        p.matrices = fastinit_threads(size_min(count, matrix_threads(&p, count)), run);
    else
        p.threads = fastinit_threads(round_up(p.columns, LANES) / LANES, run);
    return p;
}

size_t fastinit_orthogonal_work(size_t rows, size_t columns, size_t count, fastinit_run run)
{
    const plan p = make_plan(rows, columns, count, run);
    return p.matrices * p.matrix + p.matrices * p.threads * SCRATCH + ALIGNMENT;
}

typedef struct {
    plan plan;
    const fastinit_householder_tasks *tasks;
    fastinit_kernel *normals;
    size_t size; /* of an element */
    char *out, *work;
    uint64_t first; /* of the matrices */
    uint64_t seed;
    double gain;
    fastinit_watch watch;
} job;

/* One matrix that is being made. */
typedef struct {
    const job *job;
    fastinit_reflectors p;
    uint64_t start; /* the index of the panel's first normal */
    size_t width;   /* the columns of a task of apply() */
    size_t own;     /* how many of these tasks are on the panel's own columns */
} matrix;

static void draw(void *context, size_t i, size_t thread)
{
    const matrix *m = context;
    const size_t at = i * DRAWN_ROWS * m->p.width;
    const size_t n = (m->p.rows - m->p.first) * m->p.width;
    const fastinit_args args = {.seed = m->job->seed, .scale = 1};
    const fastinit_spans all = {.starts = &m->start, .count = 1, .length = n};
    (void)thread;
    m->job->normals((char *)m->p.v + at * m->job->size, &all, at,
                    size_min(n - at, DRAWN_ROWS * m->p.width), &args);
}

static void reflect(void *context, size_t i, size_t thread)
{
    const matrix *m = context;
    m->job->tasks->reflect(&m->p, i * LANES, size_min((i + 1) * LANES, m->p.width), thread);
}

/* Make S by columns, beginning with the last, which are the most work; then transpose V. */
static void multiply(void *context, size_t i, size_t thread)
{
    const matrix *m = context;
    const size_t groups = round_up(m->p.width, LANES) / LANES, rows = m->p.rows - m->p.first;
    if (i < groups) {
        i = groups - 1 - i;
        m->job->tasks->gram(&m->p, i * LANES, size_min((i + 1) * LANES, m->p.width), thread);
    } else {
        i = (i - groups) * DRAWN_ROWS;
        m->job->tasks->transpose(&m->p, i, size_min(i + DRAWN_ROWS, rows), thread);
    }
}

static void invert(void *context, size_t i, size_t thread)
{
    const matrix *m = context;
    (void)i;
    m->job->tasks->invert(&m->p, 0, 0, thread);
}

static void apply(void *context, size_t i, size_t thread)
{
    const matrix *m = context;
    const size_t columns = m->p.columns - m->p.first;
    const size_t begin = i < m->own ? i * m->width : m->p.width + (i - m->own) * m->width;
    const size_t end = size_min(begin + m->width, i < m->own ? m->p.width : columns);
    m->job->tasks->apply(&m->p, begin, end, thread);
}

static int stopped(void *watch, size_t thread) { return fastinit_look(watch, thread); }

static size_t pieces(size_t n, size_t piece) { return n / piece + (n % piece != 0); }

/* Make matrix i of the job, in the memory of the slot. */
static void make(job *j, size_t i, size_t slot, size_t threads, fastinit_watch *watch)
{
    const plan *p = &j->plan;
    const size_t size = j->size, last = (p->columns - 1) / PANEL * PANEL;
    char *memory = j->work + slot * (p->matrix + p->threads * SCRATCH) * size;
    matrix m = {.job = j, .p = {.rows = p->rows, .columns = p->columns, .wide = p->wide}};

    m.p.out = j->out + i * p->rows * p->columns * size;
    m.p.gain = j->gain;
    m.p.stopped = stopped;
    m.p.watch = watch;
    m.p.scratch = memory, memory += p->threads * SCRATCH * size;
    m.p.s = memory, memory += PANEL * PANEL * size;
    m.p.t = memory, memory += PANEL * PANEL * size;
    m.p.t_transposed = memory, memory += PANEL * PANEL * size;
    m.p.signs = memory, memory += round_up(PANEL, ALIGNMENT) * size;
    m.p.v = memory, memory += p->v * size;
    m.p.v_transposed = memory;

    for (m.p.first = last;; m.p.first -= PANEL) {
        const size_t rows = p->rows - m.p.first, columns = p->columns - m.p.first;
        m.p.width = size_min(columns, PANEL);
        m.start = (j->first + i) * p->rows * p->columns + (uint64_t)m.p.first * p->rows +
                  m.p.first * m.p.width;
        const size_t drawn = pieces(rows, DRAWN_ROWS), groups = pieces(m.p.width, LANES);
        fastinit_parallel_tasks(draw, &m, drawn, threads, watch);
        /* Products read past the end. */
        memset((char *)m.p.v + rows * m.p.width * size, 0, LANES * size);
        fastinit_parallel_tasks(reflect, &m, groups, threads, watch);
        fastinit_parallel_tasks(multiply, &m, groups + (p->wide ? drawn : 0), threads, watch);
        fastinit_parallel_tasks(invert, &m, 1, 1, watch);

        m.width =
            threads == 1 ? TILE : size_min(TILE, round_up(pieces(columns, 16 * threads), LANES));
        m.own = pieces(m.p.width, m.width);
        const size_t others = pieces(columns - m.p.width, m.width);
        fastinit_parallel_tasks(apply, &m, m.own + others, threads, watch);
        if (!m.p.first || fastinit_stopped(watch))
            return;
    }
}

static void make_alone(void *context, size_t i, size_t thread)
{
    fastinit_watch unwatched = {NULL, 0, 0};
    make(context, i, thread, 1, &unwatched);
}

int fastinit_orthogonal(void *out, fastinit_type type, void *work, uint64_t first, size_t count,
                        size_t rows, size_t columns, uint64_t seed, double gain, fastinit_run run)
{
    const fastinit_ops *ops = fastinit_ops_in_use();
    if (!count || !rows || !columns)
        return FASTINIT_OK;
    job j = {
        .plan = make_plan(rows, columns, count, run),
        .tasks = type == FASTINIT_F32 ? &ops->householder->f32 : &ops->householder->f64,
        .normals = ops->orthogonal[type],
        .size = fastinit_size_of(type),
        .out = out,
        .work = (char *)round_up((uintptr_t)work, ALIGNMENT),
        .first = first,
        .seed = seed,
        .gain = gain,
        .watch = fastinit_watch_begin(run),
    };
    if (j.plan.rows * j.plan.columns < SHARED_FROM)
        fastinit_parallel_tasks(make_alone, &j, count, j.plan.matrices, &j.watch);
    else
        for (size_t i = 0; i < count && !fastinit_stopped(&j.watch); i++)
            make(&j, i, 0, j.plan.threads, &j.watch);
    return fastinit_status(&j.watch);
}
