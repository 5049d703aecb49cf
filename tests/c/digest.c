/* Print digests of fills by the kernels of each ISA that can run here, one a line:
 *
 *     <ISA> <function>(<parameters>) start=<first index> n=<elements> <64-bit FNV-1a, hexadecimal>
 *     <ISA> <function>(<parameters>) spans=<count>x<length> <digest>
 *     <ISA> <function>(<parameters>) keyed=<count>x<length> <digest>
 *
 * and some other lines.  Digests are of the elements' bytes in little-endian order on all machines.
 *
 * `digest [ISA]` takes all ISAs, or one.  Any two ISAs of any two machines must agree.  The program
 * itself checks that one thread and several agree, and all rounding modes of the caller. */
#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/core/dispatch.h"
#include "call.h"

enum { N_MAX = 70001, THREADS = 3 };

static const uint64_t SEED = 0x9E3779B97F4A7C15; /* It uses both halves of the key. */

/* These are beginnings, the carries of the element and of the block, and the last elements. */
static const uint64_t starts[] = {
    0,
    1,
    63,
    8191,
    ((uint64_t)1 << 32) - 700,
    ((uint64_t)1 << 33) - 5,
    ((uint64_t)1 << 34) - 5,
    UINT64_MAX - 19999,
};
static const size_t sizes[] = {1, 64, 1000, 20000};

/* There is one long fill for each case, which is cut into pieces for the threads. */
static const uint64_t long_start = ((uint64_t)1 << 34) - 30000;

/* Spans and rows with keys have these lengths; the last ones are enough for several threads. */
static const struct {
    size_t count, length;
} rows[] = {{300, 1}, {300, 3}, {40, 64}, {5, 513}, {1890, 37}};
enum { ROWS_MAX = 1890 };

typedef union {
    uint32_t u32[N_MAX];
    uint64_t u64[N_MAX];
    float f32[N_MAX];
    double f64[N_MAX];
    unsigned char bytes[N_MAX * 8];
} buffer;

/* What to call, and with which parameters. */
typedef struct {
    const char *function;
    double parameters[4];
} test_case;

static size_t size_of(const test_case *c) { return bits_per_element(c->function) / 8; }
static size_t bytes(const test_case *c, size_t n) { return n * size_of(c); }

static const test_case cases[] = {
    {"bits_u32", {0, 0}},
    {"bits_u64", {0, 0}},
    {"uniform_f32", {0, 1}},
    {"uniform_f32", {-0.05, 0.1}},
    {"uniform_f32", {-1e-40, 1e-40}},
    {"uniform_f32", {16777216, 16777219}},
    {"uniform_f64", {0, 1}},
    {"uniform_f64", {-0.05, 0.1}},
    {"uniform_f64", {-1e-310, 1e-310}},
    {"normal_f32", {0, 1}},
    {"normal_f32", {0.1, 0.7}},
    {"normal_f32", {0, 1e-40}},
    {"normal_f32", {-2.5, 0}},
    {"normal_f64", {0, 1}},
    {"normal_f64", {0.1, 0.7}},
    {"normal_f64", {0, 1e-310}},
    {"truncated_f32", {0, 1}},
    {"truncated_f32", {1000, 0.05}},
    {"truncated_f32", {1e-40, 1e-40}},
    {"truncated_f64", {0, 1}},
    {"truncated_f64", {1000, 0.05}},
    {"truncated_f64", {1e-310, 1e-310}},
    {"uniform_f16", {-0.05, 0.1}},
    {"uniform_f16", {-1e-6, 1e-6}},
    {"normal_f16", {0.1, 0.7}},
    {"normal_f16", {0, 3e4}},
    {"normal_f16", {0, 1e-7}},
    {"truncated_f16", {1000, 0.05}},
    {"truncated_f16", {0, 2e-5}},
    {"uniform_bf16", {-0.05, 0.1}},
    {"normal_bf16", {0.1, 0.7}},
    {"normal_bf16", {0, 1e-39}},
    {"truncated_bf16", {1000, 0.05}},
    {"truncated_bf16", {0, 1}},
    {"between_f32", {0, 1, -3, 3}},
    {"between_f32", {0.1, 0.7, -0.6, 3.9}},
    {"between_f32", {0, 1e-40, -1, 1}},
    {"between_f32", {0.3, 0.05, 4, INFINITY}},
    {"between_f32", {0.3, 0.05, 1, 1.0001}},
    {"between_f64", {0, 1, -3, 3}},
    {"between_f64", {0.1, 0.7, -0.6, 3.9}},
    {"between_f64", {0, 1e-310, -INFINITY, -1}},
    {"between_f64", {0.3, 0.05, 8, 9}},
    {"between_f16", {0.1, 0.7, -0.6, 3.9}},
    {"between_f16", {0, 1e-7, 0, INFINITY}},
    {"between_bf16", {0.1, 0.7, -0.6, 3.9}},
    {"between_bf16", {0, 1e-39, -INFINITY, INFINITY}},
};

static const int rounding_modes[] = {
#ifdef FE_UPWARD
    FE_UPWARD,
#endif
#ifdef FE_TOWARDZERO
    FE_TOWARDZERO,
#endif
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void run(const test_case *c, buffer *out, fastinit_spans spans, int threads)
{
    call_spans(c->function, out, spans, SEED, c->parameters, threads);
}

/* Return byte i of elements of that size, as a little-endian machine has them in memory. */
static unsigned char byte_at(const unsigned char *bytes, size_t size, size_t i)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return bytes[i / size * size + (size - 1 - i % size)];
#else
    (void)size;
    return bytes[i];
#endif
}

static uint64_t digest(const unsigned char *bytes, size_t size, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < n * size; i++)
        hash = (hash ^ byte_at(bytes, size, i)) * 0x100000001b3;
    return hash;
}

static void fail(const test_case *c, const char *what)
{
    fprintf(stderr, "%s %s(%g, %g): %s\n", fastinit_isa(), c->function, c->parameters[0],
            c->parameters[1], what);
    exit(1);
}

static void print_case(const test_case *c)
{
    const double *p = c->parameters;
    printf("%s %s(%.17g,%.17g", fastinit_isa(), c->function, p[0], p[1]);
    if (!strncmp(c->function, "between_", 8))
        printf(",%.17g,%.17g", p[2], p[3]);
    printf(")");
}

static void line(const test_case *c, buffer *out, uint64_t start, size_t n)
{
    run(c, out, (fastinit_spans){&start, 1, n, 0}, 1);
    print_case(c);
    printf(" start=%" PRIu64 " n=%zu %016" PRIx64 "\n", start, n,
           digest(out->bytes, size_of(c), n));
}

/* The matrices have one panel, just fill one, or have several; they are tall, wide and square, the
 * work of one thread and shared. */
static const struct {
    size_t count, rows, columns;
    double gain;
} matrices[] = {
    {1, 1, 1, 1},   {1, 1, 30, -1.1}, {3, 17, 9, 1},    {5, 9, 17, 0.3},    {2, 96, 96, 1},
    {1, 97, 97, 1}, {1, 150, 100, 1}, {1, 100, 150, 1}, {1, 230, 210, 0.7}, {1, 200, 204, 1},
};
enum { WORK_MAX = 300000 };

static void orthogonal(size_t i, int f64, buffer *out, int threads)
{
    static double work[WORK_MAX];
    const fastinit_run how = {threads, NULL};
    const size_t count = matrices[i].count, m = matrices[i].rows, n = matrices[i].columns;
    if (fastinit_orthogonal_work(m, n, count, how) > WORK_MAX)
        abort();
    fastinit_orthogonal(out, f64 ? FASTINIT_F64 : FASTINIT_F32, work, i, count, m, n, SEED,
                        matrices[i].gain, how);
}

static void orthogonal_lines(buffer *out, buffer *other)
{
    for (size_t i = 0; i < COUNT(matrices); i++)
        for (int f64 = 0; f64 < 2; f64++) {
            const size_t count = matrices[i].count, m = matrices[i].rows, n = matrices[i].columns;
            const size_t size = f64 ? 8 : 4;
            const test_case c = {"orthogonal", {(double)m, (double)n}};
            orthogonal(i, f64, out, 1);
            printf("%s orthogonal_f%d(%.17g) first=%zu count=%zu %zux%zu %016" PRIx64 "\n",
                   fastinit_isa(), f64 ? 64 : 32, matrices[i].gain, i, count, m, n,
                   digest(out->bytes, size, count * m * n));
            memset(other, 0, sizeof *other);
            for (size_t j = 0; j < COUNT(rounding_modes); j++) {
                fesetround(rounding_modes[j]);
                orthogonal(i, f64, other, THREADS);
                fesetround(FE_TONEAREST);
                if (memcmp(out, other, count * m * n * size))
                    fail(&c, "differs on several threads in another rounding mode");
            }
        }
}

/* Make the array in out again, on several threads and in all rounding modes, and compare. */
static void compare(const test_case *c, const buffer *out, buffer *other, fastinit_spans spans)
{
    const size_t n = spans.count * spans.length;
    /* These are volatile, so that the sums are computed at run time, in the mode of the moment. */
    volatile double one = 1, tiny = 0x1p-60;

    run(c, other, spans, THREADS);
    if (memcmp(out, other, bytes(c, n)))
        fail(c, "differs on several threads");

    for (size_t i = 0; i < COUNT(rounding_modes); i++) {
        memset(other, 0, sizeof *other);
        if (fesetround(rounding_modes[i]))
            fail(c, "no such rounding mode");
        volatile double up = one + tiny, down = one - tiny;
        run(c, other, spans, THREADS);
        /* fegetround() alone would not tell, as it asks the x87 on x86. */
        volatile double up_after = one + tiny, down_after = one - tiny;
        int kept = fegetround() == rounding_modes[i] && up == up_after && down == down_after;
        fesetround(FE_TONEAREST);
        if (!kept)
            fail(c, "changed the caller's rounding mode");
        if (memcmp(out, other, bytes(c, n)))
            fail(c, "differs in another rounding mode");
    }
}

/* Rows start anywhere: near the beginning, the end, and far from each other; keys are any numbers.
 */
static void row_lines(const test_case *c, buffer *out, buffer *other)
{
    static uint64_t starts[ROWS_MAX];

    for (size_t i = 0; i < COUNT(rows); i++)
        for (int keyed = 0; keyed < 2; keyed++) {
            const size_t count = rows[i].count, length = rows[i].length;
            const fastinit_spans spans = {starts, count, length, keyed};
            for (size_t j = 0; j < count; j++)
                starts[j] = (uint64_t)j * 0x9E3779B97F4A7C15 >> !keyed;
            starts[count - 1] = UINT64_MAX - (keyed ? 0 : length - 1);
            run(c, out, spans, 1);
            print_case(c);
            printf(" %s=%zux%zu %016" PRIx64 "\n", keyed ? "keyed" : "spans", count, length,
                   digest(out->bytes, size_of(c), count * length));
            if (i == COUNT(rows) - 1)
                compare(c, out, other, spans);
        }
}

#if SIZE_MAX > UINT32_MAX
/* Print the last columns of a row of 2^32, as bytes.  No function of fastinit.h makes a part of a
 * row, so this calls the kernels: they are told which elements of the spans to make.  A 32-bit
 * machine has no such row. */
static void last_column_lines(buffer *out)
{
    static const char *const functions[] = {"bits_u32",    "bits_u64",    "normal_f32",
                                            "normal_f64",  "normal_bf16", "between_f32",
                                            "between_f64", "between_f16"};
    static fastinit_window window;
    const size_t length = (size_t)1 << 32, n = 40;
    const uint64_t key = SEED;
    const fastinit_spans spans = {&key, 1, length, 1};
    const fastinit_args args = {SEED, 1, 0, -1, 1, &window};

    fastinit_window_init(&window, -1, 1);
    for (size_t i = 0; i < COUNT(functions); i++) {
        const fastinit_ops *ops = fastinit_ops_in_use();
        const fastinit_type type = type_of(functions[i]);
        const size_t size = bits_per_element(functions[i]) / 8;
        fastinit_kernel *const kernel = functions[i][0] == 'n'   ? ops->normal[type]
                                        : functions[i][1] == 'e' ? ops->between[type]
                                                                 : ops->bits[type];
        kernel(out, &spans, length - n, n, &args);
        printf("%s %s last columns ", fastinit_isa(), functions[i]);
        for (size_t j = 0; j < n * size; j++)
            printf("%02x", byte_at(out->bytes, size, j));
        printf("\n");
    }
}
#else
static void last_column_lines(buffer *out) { (void)out; }
#endif

static void philox_line(void)
{
    uint32_t counter[4] = {0xfffffffe, 5, 0xffffffff, 3}, key[2] = {0xa4093822, 0x299f31d0}, x[4];
    fastinit_philox(counter, key, x);
    printf("%s philox %08" PRIx32 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 "\n", fastinit_isa(),
           x[0], x[1], x[2], x[3]);
}

int main(int argc, char **argv)
{
    static buffer out, other;
    int lines = 0;

    if (fastinit_init() != FASTINIT_OK)
        return 2;
    for (const char *const *isa = fastinit_isas(); *isa; isa++) {
        if (argc > 1 && strcmp(argv[1], *isa))
            continue;
        if (!fastinit_isa_available(*isa))
            continue;
        if (fastinit_use_isa(*isa) != FASTINIT_OK || strcmp(fastinit_isa(), *isa))
            return 2;
        philox_line();
        for (size_t i = 0; i < COUNT(cases); i++) {
            for (size_t j = 0; j < COUNT(starts); j++)
                for (size_t k = 0; k < COUNT(sizes); k++)
                    line(&cases[i], &out, starts[j], sizes[k]);
            line(&cases[i], &out, long_start, N_MAX);
            compare(&cases[i], &out, &other, (fastinit_spans){&long_start, 1, N_MAX, 0});
            row_lines(&cases[i], &out, &other);
        }
        orthogonal_lines(&out, &other);
        last_column_lines(&out);
        lines++;
    }
    return lines ? 0 : 2;
}
