/* Write an endless stream of what the library makes to stdout, for judges of random numbers.
 *
 * `stream NAME` writes one of these, as 32-bit words of this machine's byte order:
 *
 *   bits              random words of one seed
 *   seeds_consecutive the first word of each of many seeds, which follow each other
 *   seeds_sparse      the same of seeds with one bit set, then two, then three, and so on
 *   seeds_flipped     the same of a seed and of the 64 that differ from it in one bit; of the next
 *   keys_consecutive  the first word of each of many rows with keys, which follow each other
 *   keys_sparse       the same of keys with one bit set, then two, then three, and so on
 *   keys_permuted     the same of the 16 rotations, by bytes, of a key and of its reversal
 *   tags              16 bits of each distribution and width, for one seed, element by element
 *   normal, truncated, between_sides, between_tail, uniform
 *                     16 bits of the probability integral of each element, in float32
 *   normal_keyed      the same of normals in rows of four, with keys that follow each other
 *   control_scale     the same of normals whose standard deviation is wrong by one in 256
 *
 * `stream NAME PART`, where PART is a number from 1, writes the same of another seed, so that
 * judges which read the parts do not see the same numbers.  The streams of many seeds have no
 * parts.
 *
 * `stream words LAW` reads float32 numbers and writes the 16 bits of each, as a uint16.
 *
 *
 * THE PROBABILITY INTEGRAL
 *
 * If x has the continuous distribution function F, F(x) is uniform.  The word is
 * floor(65536 F(x)), found without computing F: x is compared with the numbers where 65536 F takes
 * integer values.
 *
 * 16 bits are what float32 carries.  Between 0.5 and 1 and between 1 and 2, neighbouring float32
 * numbers are up to 2^-25 apart in the integral of a normal; between 2 and infinity, for the
 * normal above 2, it is 2^-20.7.  So each of the 65536 cells holds at least 26 numbers, and as a
 * rule 512 or more.  Even so a judge would see the lattice: a number next to the border of two
 * cells stands for all real numbers that are rounded to it, some of which belong to the other cell.
 * A cell of 512 numbers is then wrong by 4e-4 of its probability, root mean square, which a
 * chi-squared test of all cells sees in 2^33 numbers.  For this reason that one number is given to
 * either cell at random, with the probability of its part, by a hash of the element's position
 * that has nothing to do with the library.  It concerns one number in 512 (at most one in 26); the
 * words of all others depend on the library alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastinit.h"

enum { N = 1 << 16, CELLS = 1 << 16, KINDS = 5, SHIFT = 12, STARTS = 1 << (32 - SHIFT) };

static uint64_t seed = 0x243F6A8885A308D3;             /* the fraction of pi */
static const uint64_t MULTIPLIER = 0x9E3779B97F4A7C15; /* odd, so that products are distinct */

static const fastinit_run alone = {1, NULL};

/* A distribution of float32 numbers: the normal between two bounds, or the uniform in [0, 1). */
typedef struct {
    const char *name;
    double lower, upper;
    int uniform;
    float border[CELLS];        /* [k]: the number whose surroundings hold the border below k */
    double below[CELLS];        /* which part of them lies below the border */
    uint16_t first[STARTS + 1]; /* by the upper bits of the ordered number: the borders below */
} law;

static law laws[] = {
    {.name = "normal", .lower = -INFINITY, .upper = INFINITY},
    {.name = "truncated", .lower = -2, .upper = 2},
    {.name = "between_sides", .lower = -0.6, .upper = 3.9},
    {.name = "between_tail", .lower = 2, .upper = INFINITY},
    {.name = "uniform", .lower = 0, .upper = 1, .uniform = 1},
};
enum { NORMAL, TRUNCATED, SIDES, TAIL, UNIFORM };

static fastinit_window windows[UNIFORM];

static void write_all(const void *data, size_t bytes)
{
    if (fwrite(data, 1, bytes, stdout) != bytes)
        exit(1); /* The judge has ended. */
}

/* SplitMix64 (Steele, Lea & Flood 2014): a hash of 64 bits that is no part of the library. */
static uint64_t hash(uint64_t x)
{
    x += 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
}

/* Float32 numbers as integers of the same order; -0 comes just below +0. */
static uint32_t ordered(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

static float number(uint32_t order)
{
    const uint32_t bits = order & 0x80000000 ? order & 0x7FFFFFFF : ~order;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Return the probability of a standard normal between two numbers, a <= b.  Both terms of a
 * difference are of the tail on the side of the numbers, so that no digits are lost. */
static double normal_mass(double a, double b)
{
    const double half = sqrt(0.5);
    if (a >= 0)
        return 0.5 * (erfc(a * half) - erfc(b * half));
    if (b <= 0)
        return 0.5 * (erfc(-b * half) - erfc(-a * half));
    return 1 - 0.5 * (erfc(-a * half) + erfc(b * half));
}

/* Return the distribution function at the lower end of what is rounded to a number. */
static double integral_below(const law *l, uint32_t order)
{
    double x = 0.5 * ((double)number(order - 1) + (double)number(order));
    x = x < l->lower ? l->lower : x > l->upper ? l->upper : x;
    return l->uniform ? x : normal_mass(l->lower, x) / normal_mass(l->lower, l->upper);
}

static void law_init(int which)
{
    law *l = &laws[which];
    /* All numbers lie between these.  The integral of a border is at most their integral. */
    const uint32_t least = ordered(-16), greatest = ordered(16);
    uint32_t above = least;
    for (uint32_t k = 1; k < CELLS; k++) {
        const double p = (double)k / CELLS;
        uint32_t low = above, high = greatest;
        while (high - low > 1) {
            const uint32_t middle = low + (high - low) / 2;
            if (integral_below(l, middle) <= p)
                low = middle;
            else
                high = middle;
        }
        const double start = integral_below(l, low);
        l->border[k] = number(low);
        l->below[k] = (p - start) / (integral_below(l, low + 1) - start);
        above = low;
    }
    uint32_t k = 1;
    for (uint32_t upper = 0; upper <= STARTS; upper++) {
        while (k < CELLS && ordered(l->border[k]) < (uint64_t)upper << SHIFT)
            k++;
        l->first[upper] = (uint16_t)(k - 1);
    }
    if (which < UNIFORM)
        fastinit_window_init(&windows[which], l->lower, l->upper);
}

/* Return the 16 bits of a number, the element at some position. */
static uint16_t word_of(const law *l, float x, uint64_t position)
{
    /* The number of borders that are at most x lies between these. */
    const uint32_t upper = ordered(x) >> SHIFT;
    uint32_t low = l->first[upper], high = l->first[upper + 1];
    while (low < high) {
        const uint32_t middle = low + (high - low + 1) / 2;
        const int reached = l->border[middle] <= x;
        low = reached ? middle : low;
        high = reached ? high : middle - 1;
    }
    if (low && l->border[low] == x)
        low -= (double)(hash(position) >> 11) * 0x1p-53 < l->below[low];
    return (uint16_t)low;
}

/* Fill a buffer with elements start ... start + n - 1 of a law. */
static void fill(int which, void *out, fastinit_type type, uint64_t start, size_t n, double stddev)
{
    const fastinit_spans spans = {&start, 1, n, 0};
    const law *l = &laws[which];
    if (which == UNIFORM)
        fastinit_uniform(out, type, spans, seed, l->lower, l->upper, alone);
    else if (which == NORMAL)
        fastinit_normal(out, type, spans, seed, 0, stddev, alone);
    else if (which == TRUNCATED)
        fastinit_truncated(out, type, spans, seed, 0, stddev, alone);
    else
        fastinit_between(out, type, spans, seed, 0, stddev, l->lower, l->upper, &windows[which],
                         alone);
}

static uint32_t words[N];
static float floats[N];
static uint16_t integrals[N];

static void write_integrals(int which, double stddev)
{
    law_init(which);
    for (uint64_t start = 0;; start += N) {
        fill(which, floats, FASTINIT_F32, start, N, stddev);
        for (size_t i = 0; i < N; i++)
            integrals[i] = word_of(&laws[which], floats[i], start + i);
        write_all(integrals, sizeof integrals);
    }
}

static void write_normal_keyed(void)
{
    enum { COLUMNS = 4, ROWS = N / COLUMNS };
    static uint64_t keys[ROWS];
    law_init(NORMAL);
    for (uint64_t key = 0;; key += ROWS) {
        for (size_t i = 0; i < ROWS; i++)
            keys[i] = key + i;
        const fastinit_spans rows = {keys, ROWS, COLUMNS, 1};
        fastinit_normal(floats, FASTINIT_F32, rows, seed, 0, 1, alone);
        for (size_t i = 0; i < N; i++)
            integrals[i] = word_of(&laws[NORMAL], floats[i], key * COLUMNS + i);
        write_all(integrals, sizeof integrals);
    }
}

static void write_bits(void)
{
    for (uint64_t start = 0;; start += N) {
        const fastinit_spans spans = {&start, 1, N, 0};
        fastinit_bits(words, FASTINIT_U32, spans, seed, alone);
        write_all(words, sizeof words);
    }
}

/* For each element the upper 16 bits of its word, then the integrals of five laws in float32, then
 * those in float64, rounded to float32.  All have the same seed and index.  64-bit words are left
 * out: they are pairs of the 32-bit ones. */
static void write_tags(void)
{
    /* One law of each tag: normals between bounds share a tag, and so the words of one seed. */
    static const int of_tag[] = {NORMAL, TRUNCATED, TAIL, UNIFORM};
    enum { COUNT = 1 << 12, LAWS = sizeof of_tag / sizeof *of_tag, EACH = 1 + 2 * LAWS };
    static uint32_t u32[COUNT];
    static float f32[LAWS][COUNT];
    static double f64[LAWS][COUNT];
    static uint16_t out[COUNT][EACH];
    for (int n = 0; n < LAWS; n++)
        law_init(of_tag[n]);
    for (uint64_t start = 0;; start += COUNT) {
        const fastinit_spans spans = {&start, 1, COUNT, 0};
        fastinit_bits(u32, FASTINIT_U32, spans, seed, alone);
        for (int n = 0; n < LAWS; n++) {
            fill(of_tag[n], f32[n], FASTINIT_F32, start, COUNT, 1);
            fill(of_tag[n], f64[n], FASTINIT_F64, start, COUNT, 1);
        }
        for (size_t i = 0; i < COUNT; i++) {
            const uint64_t position = (start + i) * EACH;
            out[i][0] = (uint16_t)(u32[i] >> 16);
            for (int n = 0; n < LAWS; n++) {
                const law *l = &laws[of_tag[n]];
                const int f32_at = 1 + n, f64_at = f32_at + LAWS;
                out[i][f32_at] = word_of(l, f32[n][i], position + f32_at);
                out[i][f64_at] = word_of(l, (float)f64[n][i], position + f64_at);
            }
        }
        write_all(out, sizeof out);
    }
}

/* The sequences of seeds and keys.  Each returns the next number. */
static uint64_t consecutive(void)
{
    static uint64_t next = 0;
    return next++;
}

/* All numbers with one bit set, in order, then all with two, and so on. */
static uint64_t sparse(void)
{
    static uint64_t next = 1;
    static int bits = 1;
    const uint64_t x = next;
    const uint64_t last = ~(uint64_t)0 << (64 - bits);
    if (x == last) {
        bits++;
        next = ((uint64_t)1 << bits) - 1;
    } else {
        /* The next greater number with as many bits (Gosper). */
        const uint64_t lowest = x & (~x + 1), ripple = x + lowest;
        next = ripple | ((x ^ ripple) >> 2) / lowest;
    }
    return x;
}

/* A number, the same with each of its 64 bits flipped, the next number.  They are far apart, so
 * that none comes twice. */
static uint64_t flipped(void)
{
    static uint64_t base = 0;
    static int bit = -1;
    const uint64_t x = (base * MULTIPLIER) ^ (bit < 0 ? 0 : (uint64_t)1 << bit);
    if (++bit == 64) {
        bit = -1;
        base++;
    }
    return x;
}

/* The eight rotations of a number by whole bytes, those of its reversal, the next number. */
static uint64_t permuted(void)
{
    static uint64_t base = 1;
    static int turn = 0;
    uint64_t x = base * MULTIPLIER;
    if (turn >= 8) {
        const uint64_t straight = x;
        for (int byte = 0; byte < 8; byte++)
            x = x << 8 | (straight >> 8 * byte & 0xFF);
    }
    const int by = turn % 8 * 8;
    if (by)
        x = x << by | x >> (64 - by);
    if (++turn == 16) {
        turn = 0;
        base++;
    }
    return x;
}

static void write_seeds(uint64_t (*next)(void))
{
    const uint64_t start = 0;
    const fastinit_spans first = {&start, 1, 1, 0};
    for (;;) {
        for (size_t i = 0; i < N; i++)
            fastinit_bits(&words[i], FASTINIT_U32, first, next(), alone);
        write_all(words, sizeof words);
    }
}

static void write_keys(uint64_t (*next)(void))
{
    static uint64_t keys[N];
    const fastinit_spans rows = {keys, N, 1, 1};
    for (;;) {
        for (size_t i = 0; i < N; i++)
            keys[i] = next();
        fastinit_bits(words, FASTINIT_U32, rows, seed, alone);
        write_all(words, sizeof words);
    }
}

static void convert(int which)
{
    size_t n;
    law_init(which);
    for (uint64_t start = 0; (n = fread(floats, sizeof *floats, N, stdin)); start += n) {
        for (size_t i = 0; i < n; i++)
            integrals[i] = word_of(&laws[which], floats[i], start + i);
        write_all(integrals, n * sizeof *integrals);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(uint64_t (*next)(void));
        uint64_t (*next)(void);
    } related[] = {
        {"seeds_consecutive", write_seeds, consecutive},
        {"seeds_sparse", write_seeds, sparse},
        {"seeds_flipped", write_seeds, flipped},
        {"keys_consecutive", write_keys, consecutive},
        {"keys_sparse", write_keys, sparse},
        {"keys_permuted", write_keys, permuted},
    };
    if (argc < 2 || argc > 3 || fastinit_init() != FASTINIT_OK)
        return 2;

    const char *name = argv[1];
    if (argc == 3 && strcmp(name, "words")) {
        char *end;
        const uint64_t part = strtoull(argv[2], &end, 10);
        if (!part || *end || !strncmp(name, "seeds_", 6))
            return 2;
        seed += part * MULTIPLIER;
    }
    if (!strcmp(name, "bits"))
        write_bits();
    for (size_t i = 0; i < sizeof related / sizeof *related; i++)
        if (!strcmp(name, related[i].name))
            related[i].write(related[i].next);

    if (!strcmp(name, "tags"))
        write_tags();
    if (!strcmp(name, "normal_keyed"))
        write_normal_keyed();
    if (!strcmp(name, "control_scale"))
        write_integrals(NORMAL, 1 + 1.0 / 256);
    for (int which = 0; which < KINDS; which++) {
        if (!strcmp(name, laws[which].name))
            write_integrals(which, 1);
        if (argc == 3 && !strcmp(name, "words") && !strcmp(argv[2], laws[which].name)) {
            convert(which);
            return 0;
        }
    }
    return 2;
}
