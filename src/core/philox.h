/* Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011, section 3.3), with one block in each 64-bit lane. */
#ifndef FASTINIT_PHILOX_H
#define FASTINIT_PHILOX_H

#include "vec.h"

enum { PHILOX_ROUNDS = 10 };

/* The keys of the rounds, in all lanes; those of round r are at 2 r and 2 r + 1.  The call that
 * sets them is not inlined, which keeps them in memory: else GCC spreads them anew in every step
 * (AVX2 normals: 2.0 ns, not 1.5). */
typedef struct {
    vu key[2 * PHILOX_ROUNDS];
} philox_keys;

static __attribute__((noinline)) void philox_schedule(philox_keys *keys, uint64_t seed)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);

    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        keys->key[2 * round] = vu_set1(k0);
        keys->key[2 * round + 1] = vu_set1(k1);
        k0 += 0x9E3779B9; /* golden ratio */
        k1 += 0xBB67AE85; /* sqrt(3) - 1 */
    }
}

/* Make one round of `groups` times VEC_W blocks at once.  A block's four words lie in the low
 * halves of its lane of x[0] ... x[3]; what the high halves hold never matters, neither before nor
 * after.  That saves the instruction that would clear them: the low half of a product becomes a
 * word as it is, the high half by a shift.  A round of 4 blocks takes eight instructions in AVX2,
 * against ten with a block held in a 128-bit lane; in AVX-512 both take the same.
 *
 * A round waits for its multiplier: the product comes last in its exclusive or, which makes the
 * chain one instruction shorter.  (GCC must be told not to turn that around: meson.build.)
 *
 * Where a caller passes the same value in every lane (the high counter words), the compiler takes
 * what depends on that value alone in the first two rounds out of the caller's loop. */
VEC void philox_round(int groups, vu x[][4], const philox_keys *keys, int round)
{
    const vu m0 = vu_set1(0xD2511F53), m1 = vu_set1(0xCD9E8D57);
    const vu k0 = keys->key[2 * round], k1 = keys->key[2 * round + 1];

    for (int g = 0; g < groups; g++) {
        vu p0 = vu_mul32(x[g][0], m0), p1 = vu_mul32(x[g][2], m1);
        x[g][0] = vu_xor3(x[g][1], k0, vu_srl(p1, 32));
        x[g][1] = p1;
        x[g][2] = vu_xor3(x[g][3], k1, vu_srl(p0, 32));
        x[g][3] = p0;
    }
}

VEC void philox(vu x[VEC_GROUPS][4], const philox_keys *keys)
{
    for (int round = 0; round < PHILOX_ROUNDS; round++)
        philox_round(VEC_GROUPS, x, keys, round);
}

#endif
