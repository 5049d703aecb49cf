/* Show what the kernels make of chosen words (mocked_kernel.c), for tests/test_words.py.
 *
 * `mocked count ISA function step` makes the first attempt of a float32 distribution (0, 1) for all
 * 2^32 words, or for every step-th span of 2^16 of them.  It reads 257 numbers: for each value of a
 * word's low 8 bits what its high 24 bits are multiplied by, and the value of a redrawn element. It
 * prints for each value of the low 8 bits
 *
 *     <how many were accepted> <of these negative> <not the product, or redrawn and not that value>
 *     <least accepted> <greatest accepted> <least magnitude accepted>
 *
 * `mocked values ISA function parameter_1 parameter_2` reads records of ten words, one for each
 * element: two for the first attempt (the second of them for 64-bit types alone), four for the
 * second, and four for the third and all further ones.  It writes the values. */
#include <inttypes.h>
#include <stdio.h>

#include "call.h"
#include "mocked.h"

/* A span has a line for each value of the high 24 bits, with a word for each of the low 8. */
enum { NAMES = 256, LINES = 256, SPAN = NAMES * LINES, RECORDS_MAX = 1 << 20 };

int mocked_counting;

/* Which elements were asked for a second attempt, when counting.  They begin at block 2^32, where
 * the words count from 0. */
static const uint64_t origin = (uint64_t)1 << 34;
static uint64_t span_start;
static uint32_t redrawn[SPAN];

/* What was read, when not counting. */
static struct {
    uint32_t first[2], later[2][4];
} records[RECORDS_MAX];
static size_t count;
static size_t words_per_element;

void mocked_words(uint64_t position, uint32_t attempt, uint32_t words[4])
{
    memset(words, 0, 4 * sizeof *words);
    if (mocked_counting) {
        /* A lane that no element uses may hold any position. */
        if (position >= span_start && position - span_start < SPAN)
            redrawn[position - span_start] = UINT32_MAX;
        words[0] = 100; /* It names column 100, at whose corner below the curve all are accepted. */
    } else if (attempt) {
        if (position < count)
            memcpy(words, records[position].later[attempt > 1], 4 * sizeof *words);
    } else {
        for (uint64_t j = 0; j < 4; j++) {
            uint64_t word = 4 * position + j, i = word / words_per_element;
            if (i < count)
                words[j] = records[i].first[word % words_per_element];
        }
    }
}

/* Values are counted by their bits, so that -0 is not 0, and the compiler can vectorize. */
typedef union {
    float f32[SPAN];
    uint32_t bits[SPAN];
} numbers;

/* Return an integer that is ordered as the float with these bits.  The function is its own inverse.
 */
static int32_t ordered(uint32_t bits) { return (int32_t)(bits ^ (0 - (bits >> 31)) >> 1); }

static double number(int32_t rank)
{
    const uint32_t bits = (uint32_t)ordered((uint32_t)rank);
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* What is counted, by the words' low 8 bits. */
typedef struct {
    uint32_t accepted[NAMES], negative[NAMES], wrong[NAMES];
    int32_t least[NAMES], greatest[NAMES], nearest[NAMES];
} tally;

#if defined __x86_64__ && defined __GLIBC__ && __has_attribute(target_clones)
#define CLONED __attribute__((target_clones("avx2", "default"))) /* two thirds of the time */
#else
#define CLONED
#endif

/* Count one line: words with the same high 24 bits, which stand for this multiple of the factors.
 * again is 0, or all ones if redrawn.  There are masks, and no conditions but minima, as compilers
 * turn those into vectors. */
static CLONED void count_line(tally *restrict t, const uint32_t *restrict values, double multiple,
                              const float *restrict factors, const uint32_t *restrict again,
                              uint32_t redrawn_value)
{
    union {
        float f32[NAMES];
        uint32_t bits[NAMES];
    } products;

    for (int name = 0; name < NAMES; name++) /* 24 bits by 24 is exact, and rounded once. */
        products.f32[name] = (float)(multiple * (double)factors[name]);
    for (int name = 0; name < NAMES; name++) {
        const uint32_t value = values[name], skip = again[name];
        const uint32_t right = (products.bits[name] & ~skip) | (redrawn_value & skip);
        const int32_t low = (ordered(value) | (int32_t)skip) & (int32_t)~(skip & 0x80000000);
        const int32_t high = (ordered(value) & (int32_t)~skip) | (int32_t)(skip & 0x80000000);
        const int32_t magnitude = (int32_t)((value | skip) & 0x7fffffff);
        t->accepted[name] += 1 + skip;
        t->negative[name] += value >> 31 & ~skip;
        t->wrong[name] += value != right;
        t->least[name] = low < t->least[name] ? low : t->least[name];
        t->greatest[name] = high > t->greatest[name] ? high : t->greatest[name];
        t->nearest[name] = magnitude < t->nearest[name] ? magnitude : t->nearest[name];
    }
}

static int count_words(const char *function, unsigned step)
{
    static numbers values, factor;
    static tally t;

    mocked_counting = 1;
    for (int name = 0; name <= NAMES; name++)
        if (scanf("%f", &factor.f32[name]) != 1)
            return 2;
    for (int name = 0; name < NAMES; name++) {
        t.least[name] = t.nearest[name] = INT32_MAX;
        t.greatest[name] = INT32_MIN;
    }
    for (uint64_t first = 0; first < (uint64_t)1 << 32; first += (uint64_t)step * SPAN) {
        span_start = origin + first;
        memset(redrawn, 0, sizeof redrawn);
        call(function, &values, span_start, SPAN, 0, 0, 1, 1);
        for (uint32_t line = 0; line < LINES; line++) {
            const uint32_t at = line * NAMES, high = (uint32_t)(first >> 8) + line;
            const int32_t s = (int32_t)high - (high >> 23 ? 1 << 24 : 0);
            const double multiple = function[0] == 'u' ? (int32_t)high : 2 * s + 1;
            count_line(&t, values.bits + at, multiple, factor.f32, redrawn + at,
                       factor.bits[NAMES]);
        }
    }
    for (int name = 0; name < NAMES; name++)
        printf("%" PRIu32 " %" PRIu32 " %" PRIu32 " %a %a %a\n", t.accepted[name], t.negative[name],
               t.wrong[name], number(t.least[name]), number(t.greatest[name]),
               number(t.nearest[name]));
    return 0;
}

static int values_of_words(const char *function, double parameter_1, double parameter_2)
{
    static uint64_t values[RECORDS_MAX];
    const size_t bits = bits_per_element(function);

    words_per_element = bits == 64 ? 2 : 1;
    count = fread(records, sizeof records[0], RECORDS_MAX, stdin);
    if (!count || !feof(stdin))
        return 2;
    call(function, values, 0, count, 0, parameter_1, parameter_2, 1);
    return fwrite(values, bits / 8, count, stdout) == count ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc < 5 || fastinit_init() != FASTINIT_OK || fastinit_use_isa(argv[2]) != FASTINIT_OK)
        return 2;
    if (!strcmp(argv[1], "count"))
        return count_words(argv[3], (unsigned)atoi(argv[4]));
    if (!strcmp(argv[1], "values") && argc == 6)
        return values_of_words(argv[3], strtod(argv[4], NULL), strtod(argv[5], NULL));
    return 2;
}
