/* Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011, section 3.3), one block a 64-bit lane. */
#ifndef FASTINIT_PHILOX_H
#define FASTINIT_PHILOX_H

#include "vec.h"

/* VEC_GROUPS x VEC_W blocks at once.  A block's four words lie in the low halves of its lane of
 * x[0] ... x[3]; what the high halves hold never matters, neither before nor after.  That saves the
 * instruction that would clear them: the low half of a product becomes a word as it is, the high
 * half by a shift.  Eight instructions a round for 4 blocks in AVX2, against ten with a block held
 * in a 128-bit lane; equal in AVX-512.
 *
 * Where a caller passes the same value in every lane (the high counter words), the compiler takes
 * what depends on it alone in the first two rounds out of its loop. */
VEC void philox(vu x[VEC_GROUPS][4], uint64_t key)
{
    const vu m0 = vu_set1(0xD2511F53), m1 = vu_set1(0xCD9E8D57);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);

    for (int round = 0; round < 10; round++) {
        const vu v0 = vu_set1(k0), v1 = vu_set1(k1);
        for (int g = 0; g < VEC_GROUPS; g++) {
            vu p0 = vu_mul32(x[g][0], m0), p1 = vu_mul32(x[g][2], m1);
            x[g][0] = vu_xor3(x[g][1], v0, vu_srl(p1, 32)); /* the product last: it comes last */
            x[g][1] = p1;
            x[g][2] = vu_xor3(x[g][3], v1, vu_srl(p0, 32));
            x[g][3] = p0;
        }
        k0 += 0x9E3779B9; /* golden ratio */
        k1 += 0xBB67AE85; /* sqrt(3) - 1 */
    }
}

#endif
