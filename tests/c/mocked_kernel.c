/* The kernels with chosen words in the place of Philox's.  The source is theirs, compiled with the
 * same flags once per ISA; mocked.c is linked with these instead of them. */
#include <string.h>

#include "mocked.h"
#include "vec.h"

#define FASTINIT_PHILOX_H /* This file takes its place. */

enum { PHILOX_ROUNDS = 10 };

typedef struct {
    int none;
} philox_keys;

VEC void philox_schedule(philox_keys *keys, uint64_t seed) { (void)keys, (void)seed; }

VEC void philox(vu x[VEC_GROUPS][4], const philox_keys *keys)
{
    const vu low32 = vu_set1(0xffffffff);

    (void)keys;
    for (int g = 0; g < VEC_GROUPS; g++) {
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
            uint32_t words[4];
            mocked_words((c[0][lane] & 0xffffffff) | c[1][lane] << 32, (uint32_t)c[2][lane], words);
            for (int j = 0; j < 4; j++)
                c[j][lane] = words[j];
        }
        for (int j = 0; j < 4; j++)
            memcpy(&x[g][j], c[j], sizeof(vu));
    }
}

VEC void philox_round(vu x[VEC_GROUPS][4], const philox_keys *keys, int round)
{
    if (round == 0)
        philox(x, keys);
}

#include "kernel.c"
