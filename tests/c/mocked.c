/* Show what the kernels make of chosen words (mocked_kernel.c), for tests/test_words.py.
 *
 * `mocked count ISA function step` makes the first attempt of a float32 distribution (0, 1) for all
 * 2^32 words, or for every step-th span of 2^16 of them.  A word's name is its low 10 bits, which
 * are complemented where a normal's word is negative.  It reads 1025 numbers: for each name what
 * the words are multiplied by, and the value of a redrawn element.  It prints for each name
 *
 *     <how many were accepted> <of these negative> <not the product, or redrawn and not that value>
 *     <least accepted> <greatest accepted> <least magnitude accepted>
 *
 * `mocked values ISA function layout parameters ...` reads records of 14 words, one for each
 * element: two for the first attempt (the second of them for 64-bit types alone), and four each for
 * the second, for the third, and for all further ones.  It writes the values, and then a byte for
 * each element, the number of its attempts.  The layout is `long`, one span of all elements;
 * `short`, spans of 7, whose blocks the kernels list; or `keyed`, rows of 7 with keys.
 *
 * `mocked window ISA lower upper` writes the table of that window. */
#include <inttypes.h>
#include <stdio.h>

#include "call.h"
#include "mocked.h"

/* A span has a line for each of 64 values of the high 22 bits, with a word for each name. */
enum { NAMES = 1024, LINES = 64, SPAN = NAMES * LINES, RECORDS_MAX = 1 << 20, SHORT = 7 };

int mocked_counting;

/* The elements begin at block 2^32 or 2^33, so that a lane that no element uses is none of them. */
static const uint64_t origin = (uint64_t)1 << 34;

/* Which elements were asked for a second attempt, when counting; the words count from 0. */
static uint64_t span_start;
static uint32_t redrawn[SPAN];

/* What was read, when not counting. */
static struct {
    uint32_t first[2], later[3][4];
} records[RECORDS_MAX];
static uint8_t attempts[RECORDS_MAX];
static size_t count;
static size_t words_per_element = 1;

/* Counter word 3 of the function that was called, for keys or not. */
static uint32_t word_3;
enum { KEYED = 32, ATTEMPT = 256 };
static const uint64_t first_key = (uint64_t)1 << 40;

void mocked_words(const uint32_t counter[4], uint32_t words[4])
{
    const uint64_t position = counter[0] | (uint64_t)counter[1] << 32;
    const int keyed = word_3 & KEYED;
    const uint32_t attempt = keyed ? counter[3] / ATTEMPT : counter[2];
    /* The number of the block or, in later attempts, of the element; in the array or in the row. */
    const uint64_t per_block = attempt ? 1 : 4 / words_per_element;
    const uint64_t number = keyed ? counter[2] : position - origin / per_block;
    const uint64_t row = keyed ? position - first_key : 0, size = keyed ? SHORT : count;

    if ((keyed ? counter[3] % ATTEMPT : counter[3]) != word_3)
        abort();
    memset(words, 0, 4 * sizeof *words);
    if (mocked_counting) {
        /* A lane that no element uses may hold any position. */
        if (position >= span_start && position - span_start < SPAN)
            redrawn[position - span_start] = UINT32_MAX;
        words[0] = 100; /* It names column 100, at whose corner below the curve all are accepted. */
        return;
    }
    for (uint64_t j = 0; j < 4; j++) {
        const uint64_t at = number * per_block + (attempt ? 0 : j / words_per_element);
        const uint64_t i = row * size + at;
        if (row > count || at >= size || i >= count)
            continue;
        words[j] = attempt ? records[i].later[attempt < 3 ? attempt - 1 : 2][j]
                           : records[i].first[j % words_per_element];
        if (attempts[i] < attempt + 1)
            attempts[i] = (uint8_t)(attempt < UINT8_MAX ? attempt + 1 : UINT8_MAX);
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

/* What is counted, by the words' names. */
typedef struct {
    uint32_t accepted[NAMES], negative[NAMES], wrong[NAMES];
    int32_t least[NAMES], greatest[NAMES], nearest[NAMES];
} tally;

#if defined __x86_64__ && defined __GLIBC__ && __has_attribute(target_clones)
#define CLONED __attribute__((target_clones("avx2", "default"))) /* two thirds of the time */
#else
#define CLONED
#endif

/* Count one line: the words with these high 22 bits.  flip complements the low bits into names; a
 * uniform is never negative, and is held below 1.  again is 0, or all ones if redrawn.  There are
 * masks, and no conditions but minima, as compilers turn those into vectors. */
static CLONED void count_line(tally *restrict t, const uint32_t *restrict values, uint32_t high,
                              uint32_t flip, int is_uniform, const float *restrict factors,
                              const uint32_t *restrict again, uint32_t redrawn_value)
{
    union {
        float f32[NAMES];
        uint32_t bits[NAMES];
    } products;

    for (uint32_t name = 0; name < NAMES; name++) {
        const uint32_t word = high | (name ^ flip);
        const float multiple = (float)(int32_t)((is_uniform ? word >> 1 : word) | 1);
        /* 24 bits by 24 is exact, and rounded once. */
        const float product = (float)((double)multiple * (double)factors[name]);
        products.f32[name] = is_uniform && product > 0x1.fffffep-1f ? 0x1.fffffep-1f : product;
    }
    for (uint32_t name = 0; name < NAMES; name++) {
        const uint32_t value = values[name ^ flip], skip = again[name ^ flip];
        const uint32_t right = (products.bits[name] & ~skip) | (redrawn_value & skip);
        const int32_t least = (ordered(value) | (int32_t)skip) & (int32_t)~(skip & 0x80000000);
        const int32_t most = (ordered(value) & (int32_t)~skip) | (int32_t)(skip & 0x80000000);
        const int32_t magnitude = (int32_t)((value | skip) & 0x7fffffff);
        t->accepted[name] += 1 + skip;
        t->negative[name] += value >> 31 & ~skip;
        t->wrong[name] += value != right;
        t->least[name] = least < t->least[name] ? least : t->least[name];
        t->greatest[name] = most > t->greatest[name] ? most : t->greatest[name];
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
            const uint32_t at = line * NAMES, high = (uint32_t)first + at;
            const int is_uniform = function[0] == 'u';
            const uint32_t flip = !is_uniform && high >> 31 ? NAMES - 1 : 0;
            count_line(&t, values.bits + at, high, flip, is_uniform, factor.f32, redrawn + at,
                       factor.bits[NAMES]);
        }
    }
    for (int name = 0; name < NAMES; name++)
        printf("%" PRIu32 " %" PRIu32 " %" PRIu32 " %a %a %a\n", t.accepted[name], t.negative[name],
               t.wrong[name], number(t.least[name]), number(t.greatest[name]),
               number(t.nearest[name]));
    return 0;
}

static int values_of_words(const char *function, const char *layout, const double parameters[4])
{
    static uint64_t values[RECORDS_MAX], starts[RECORDS_MAX / SHORT + 1];
    const size_t bits = bits_per_element(function);
    const int keyed = !strcmp(layout, "keyed");

    words_per_element = bits == 64 ? 2 : 1;
    count = fread(records, sizeof records[0], RECORDS_MAX, stdin);
    if (!count || !feof(stdin))
        return 2;
    if (!strcmp(layout, "long")) {
        const fastinit_spans spans = {&origin, 1, count, 0};
        call_spans(function, values, spans, 0, parameters, 1);
    } else {
        const fastinit_spans spans = {starts, count / SHORT, SHORT, keyed};
        if (count % SHORT)
            return 2;
        for (size_t i = 0; i < spans.count; i++)
            starts[i] = keyed ? first_key + i : origin + i * SHORT;
        if (keyed)
            word_3 += KEYED;
        call_spans(function, values, spans, 0, parameters, 1);
    }
    return fwrite(values, bits / 8, count, stdout) == count &&
                   fwrite(attempts, 1, count, stdout) == count
               ? 0
               : 2;
}

/* Return the tag of fastinit.h, and 16 more for float64. */
static uint32_t tag_of(const char *function)
{
    static const char *const names[] = {"uniform_", "normal_", "truncated_", "", "between_"};
    for (uint32_t i = 0; i < 5; i++)
        if (*names[i] && !strncmp(function, names[i], strlen(names[i])))
            return i + 1 + (type_of(function) == FASTINIT_F64 ? 16 : 0);
    abort();
}

int main(int argc, char **argv)
{
    double parameters[4] = {0};

    fastinit_window window;

    if (argc < 5 || argc > 9 || fastinit_init() != FASTINIT_OK ||
        fastinit_use_isa(argv[2]) != FASTINIT_OK)
        return 2;
    if (!strcmp(argv[1], "window")) {
        fastinit_window_init(&window, strtod(argv[3], NULL), strtod(argv[4], NULL));
        return fwrite(&window, sizeof window, 1, stdout) ? 0 : 2;
    }
    word_3 = tag_of(argv[3]);
    if (!strcmp(argv[1], "count"))
        return count_words(argv[3], (unsigned)atoi(argv[4]));
    for (int i = 5; i < argc; i++)
        parameters[i - 5] = strtod(argv[i], NULL);
    if (!strcmp(argv[1], "values"))
        return values_of_words(argv[3], argv[4], parameters);
    return 2;
}
