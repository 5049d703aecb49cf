/* Run a battery of TestU01 over the 32-bit words that come from stdin:
 *
 *     testu01 BATTERY [reversed] [TEST]
 *
 * BATTERY is SmallCrush, Crush or BigCrush.  TEST is the number of one of its tests, which alone is
 * run.  `reversed` turns each word around, because these batteries look at upper bits more than at
 * lower ones. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bbattery.h"
#include "swrite.h"
#include "unif01.h"

enum { N = 1 << 14, MOST_TESTS = 106 };

static uint32_t words[N];
static unsigned long long read_so_far;
static int reversed;

static unsigned int next(void)
{
    const unsigned at = read_so_far++ % N;
    if (at == 0 && fread(words, sizeof *words, N, stdin) != N) {
        fprintf(stderr, "the stream has ended\n");
        exit(1);
    }
    uint32_t x = words[at];
    if (reversed) {
        x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
        x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
        x = (x >> 4 & 0x0F0F0F0F) | (x & 0x0F0F0F0F) << 4;
        x = (x >> 8 & 0x00FF00FF) | (x & 0x00FF00FF) << 8;
        x = x >> 16 | x << 16;
    }
    return x;
}

int main(int argc, char **argv)
{
    static char name[] = "stdin";
    static const struct {
        const char *name;
        void (*run)(unif01_Gen *);
        void (*run_some)(unif01_Gen *, int times[]);
        int tests;
    } batteries[] = {
        {"SmallCrush", bbattery_SmallCrush, bbattery_RepeatSmallCrush, 10},
        {"Crush", bbattery_Crush, bbattery_RepeatCrush, 96},
        {"BigCrush", bbattery_BigCrush, bbattery_RepeatBigCrush, MOST_TESTS},
    };
    reversed = argc >= 3 && !strcmp(argv[2], "reversed");
    const int one = argc == 3 + reversed;
    char *end = "";
    const long test = one ? strtol(argv[2 + reversed], &end, 10) : 0;
    if (argc != 2 + reversed + one || *end || test < one)
        return 2;
    for (int i = 0; i < 3; i++) {
        if (!strcmp(argv[1], batteries[i].name) && test <= batteries[i].tests) {
            unif01_Gen *generator = unif01_CreateExternGenBits(name, next);
            setvbuf(stdout, NULL, _IOLBF, 0);
            if (one) {
                static int times[MOST_TESTS + 1]; /* by the number of the test */
                times[test] = 1;
                batteries[i].run_some(generator, times);
            } else {
                batteries[i].run(generator);
            }
            unif01_DeleteExternGenBits(generator);
            printf("Words read: %llu\n", read_so_far);
            return 0;
        }
    }
    return 2;
}
