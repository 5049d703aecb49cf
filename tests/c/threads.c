/* Call the functions of fastinit.h from several threads at once: the first calls after
 * fastinit_init(), the choice of kernels, fills of the same seed, of different seeds and of the
 * parts of one array, rows with keys, windows and matrices.  Every result must be what one thread
 * makes alone, or the program fails.  script/sanitize runs it under ThreadSanitizer. */
#define _POSIX_C_SOURCE 200809L /* pthread_barrier_t */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "call.h"

/* CALLERS threads call, and each call may take TEAM threads.  N elements of four bytes are enough
 * for two threads. */
enum { CALLERS = 5, TEAM = 2, N = 70001, LENGTH = 37, ROUNDS_MAX = 5 };

static const uint64_t SEED = 0x9E3779B97F4A7C15;

static const struct {
    const char *function;
    double parameters[4];
} cases[] = {
    {"bits_u32", {0}},
    {"bits_u64", {0}},
    {"uniform_f32", {-0.05, 0.1}},
    {"normal_f16", {0.1, 0.7}},
    {"normal_f64", {0.1, 0.7}},
    {"truncated_f32", {1000, 0.05}},
    {"truncated_bf16", {1000, 0.05}},
    {"between_f32", {0.1, 0.7, -0.6, 3.9}},
    {"between_f64", {0.3, 0.05, 8, 9}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

enum { SPAN, ROWS, KEYED, LAYOUTS }; /* one span, or rows, or rows with keys */
enum { RESULTS = 2 * CASES * LAYOUTS + 4 };

static uint64_t starts[N / LENGTH]; /* of rows; also keys */

/* An array that all callers fill, each a part of an odd number of elements. */
enum { PART = 10007 };
static float shared[CALLERS * PART];

static const char *rounds[ROUNDS_MAX]; /* the ISA of each, NULL: what fastinit_init() chose */
static size_t round_count = 1;

/* Two barriers take turns: at one alone, ThreadSanitizer takes a thread that leaves it late to have
 * waited for those that have come to it again, and does not see their races. */
static pthread_barrier_t barriers[2];

/* What one caller has. */
typedef struct {
    unsigned number;
    uint64_t found[ROUNDS_MAX][RESULTS];
    uint64_t out[N];
    double work[200000];
} caller;
static caller callers[CALLERS];

static uint64_t digest(const uint64_t *words, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < bytes / 8; i++)
        hash = (hash ^ words[i]) * 0x100000001b3;
    return hash;
}

static int poll(void) { return 0; }

static uint64_t fill(caller *c, size_t i, int layout, uint64_t seed, int threads)
{
    static const uint64_t first = ((uint64_t)1 << 34) - 30000;
    const size_t bytes = N * bits_per_element(cases[i].function) / 8;
    const fastinit_spans spans = {layout == SPAN ? &first : starts, layout == SPAN ? 1 : N / LENGTH,
                                  layout == SPAN ? N : LENGTH, layout == KEYED};
    memset(c->out, 0, bytes);
    call_spans(cases[i].function, c->out, spans, seed, cases[i].parameters, threads);
    return digest(c->out, bytes);
}

/* Make some small matrices, or one that several threads share. */
static uint64_t matrices(caller *c, int is_shared, fastinit_type type, int threads)
{
    const fastinit_run how = {threads, poll};
    const size_t count = is_shared ? 1 : 40, rows = is_shared ? 210 : 20,
                 columns = is_shared ? 200 : 30;
    const size_t bytes = count * rows * columns * (type == FASTINIT_F64 ? 8 : 4);
    if (fastinit_orthogonal_work(rows, columns, count, how) > sizeof c->work / sizeof *c->work)
        abort();
    fastinit_orthogonal(c->out, type, c->work, 3, count, rows, columns, SEED, 0.7, how);
    return digest(c->out, bytes);
}

static void make_all(caller *c, uint64_t found[RESULTS], unsigned shift, int threads)
{
    for (size_t step = 0; step < CASES; step++)
        for (int layout = 0; layout < LAYOUTS; layout++) {
            /* With a shift the callers make different ones at the same time. */
            const size_t i = (step + shift) % CASES;
            uint64_t *const two = found + 2 * (i * LAYOUTS + (size_t)layout);
            two[0] = fill(c, i, layout, SEED, threads);
            two[1] = fill(c, i, layout, SEED + 1 + c->number, threads);
        }
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        found[RESULTS - 4 + is_shared] = matrices(c, is_shared, FASTINIT_F32, threads);
        found[RESULTS - 2 + is_shared] = matrices(c, is_shared, FASTINIT_F64, threads);
    }
}

static void make_part(float *out, unsigned part, size_t parts)
{
    const uint64_t start = part * PART;
    const fastinit_spans spans = {&start, 1, parts * PART, 0};
    fastinit_truncated(out, FASTINIT_F32, spans, SEED, 0, 1, (fastinit_run){1, NULL});
}

static void *run(void *context)
{
    caller *c = context;
    for (size_t i = 0; i < round_count; i++) {
        pthread_barrier_wait(&barriers[0]);
        if (rounds[i] && fastinit_use_isa(rounds[i]) != FASTINIT_OK)
            abort();
        pthread_barrier_wait(&barriers[1]);
        if (rounds[i] && strcmp(fastinit_isa(), rounds[i]))
            abort();
        fastinit_is_private(c->out, sizeof c->out);
        fastinit_thread_limit();
        make_part(shared + c->number * PART, c->number, 1);
        make_all(c, c->found[i], i % 2 ? c->number : 0, TEAM);
    }
    return NULL;
}

int main(void)
{
    static uint64_t expected[RESULTS];
    static float alone[CALLERS * PART];
    pthread_t threads[CALLERS];
    int failed = 0;

    for (size_t i = 0; i < N / LENGTH; i++)
        starts[i] = i * 0x9E3779B97F4A7C15 >> 1;
    if (fastinit_init() != FASTINIT_OK || pthread_barrier_init(&barriers[0], NULL, CALLERS) ||
        pthread_barrier_init(&barriers[1], NULL, CALLERS))
        return 2;
    for (const char *const *isa = fastinit_isas(); *isa; isa++)
        if (fastinit_isa_available(*isa))
            rounds[round_count++] = *isa;
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i].number = i;
        if (pthread_create(&threads[i], NULL, run, &callers[i]))
            return 2;
    }
    for (unsigned i = 0; i < CALLERS; i++)
        if (pthread_join(threads[i], NULL))
            return 2;

    make_part(alone, 0, CALLERS);
    if (memcmp(alone, shared, sizeof alone))
        failed = 1, fprintf(stderr, "the parts of one array are not those of the whole\n");
    for (unsigned i = 0; i < CALLERS; i++) {
        make_all(&callers[i], expected, 0, 1);
        for (size_t j = 0; j < round_count; j++)
            for (size_t k = 0; k < RESULTS; k++)
                if (callers[i].found[j][k] != expected[k])
                    failed = 1, fprintf(stderr, "caller %u, round %zu (%s): result %zu differs\n",
                                        i, j, rounds[j] ? rounds[j] : "first", k);
    }
    printf("%d callers of teams of %d, OpenMP %d:", CALLERS, TEAM, fastinit_openmp());
    for (size_t j = 1; j < round_count; j++)
        printf(" %s", rounds[j]);
    printf("\n");
    return failed;
}
