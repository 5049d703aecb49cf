/* The kernels with chosen words in the place of Philox's.  The source is theirs, compiled with the
 * same flags once per ISA; mocked.c is linked with these instead of them. */
#include "mocked.h"
#include "vec.h"

#define FASTINIT_PHILOX_H /* This file takes its place. */

enum { PHILOX_ROUNDS = 10 };

typedef struct {
    int none;
} philox_keys;

VEC void philox_schedule(philox_keys *keys, uint64_t seed) { (void)keys, (void)seed; }

VEC void mocked_philox(int groups, vu x[][4])
{
    const vu low32 = vu_set1(0xffffffff);

    for (int g = 0; g < groups; g++) {
        uint64_t c[4][VEC_W];
        if (mocked_counting && !vm_bits(vm_lt_u32(vu_set1(0), vu_and(x[g][2], low32)))) {
            const vu first = vu_sll(x[g][0], 2);
            for (int j = 0; j < 4; j++)
                x[g][j] = vu_add(first, vu_set1((uint64_t)j));
            continue;
        }
        for (int j = 0; j < 4; j++)
            vu_store64(c[j], x[g][j]);
        for (int lane = 0; lane < VEC_W; lane++) {
            uint32_t counter[4], words[4];
            for (int j = 0; j < 4; j++)
                counter[j] = (uint32_t)c[j][lane];
            mocked_words(counter, words);
            /* What the high halves hold must not matter. */
            for (int j = 0; j < 4; j++)
                c[j][lane] = words[j] | (uint64_t)~words[j] << 32;
        }
        for (int j = 0; j < 4; j++)
            x[g][j] = vu_load(c[j]);
    }
}

VEC void philox(vu x[VEC_GROUPS][4], const philox_keys *keys)
{
    (void)keys;
    mocked_philox(VEC_GROUPS, x);
}

VEC void philox_round(int groups, vu x[][4], const philox_keys *keys, int round)
{
    (void)keys;
    if (round == 0)
        mocked_philox(groups, x);
}

#include "kernel.c"
