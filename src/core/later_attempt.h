/* A later attempt is the rare path of the Ziggurat.  It runs on a list of rejected elements, so
 * that all lanes of its vectors are in use. */
#ifndef FASTINIT_LATER_ATTEMPT_H
#define FASTINIT_LATER_ATTEMPT_H

#include "window.h"
#include "ziggurat.h"

/* Return exp(-q) for 0 <= q < 700, within 2 units in the last place.  libm's exp is never used, as
 * its last bit differs between systems.
 *
 * q = n ln 2 + r with |r| <= ln 2 / 2.  exp(-r) is the sum of its Taylor series, whose first
 * dropped term is 0.35^14 / 14! = 2^-57.  It is summed in pairs and pairs of pairs, a chain a third
 * as long as Horner's.  n is read off the low bits of a sum with 1.5 * 2^52. */
VEC vd exp_minus(vd q)
{
    const vd shift = vd_set1(0x1.8p52);
    vd shifted = vd_add(vd_mul(q, vd_set1(0x1.71547652b82fep+0)), shift); /* 1 / ln 2 */
    vd n = vd_sub(shifted, shift);
    /* Here r is the -r of above.  ln 2 comes in two parts, the first of which has 33 bits, so that
     * n times it is exact. */
    vd r = vd_sub(vd_mul(n, vd_set1(0x1.62e42feep-1)), q);
    r = vd_add(r, vd_mul(n, vd_set1(0x1.a39ef35793c76p-33)));
    const double factorial[] = {1,    1,     2,      6,       24,       120,       720,
                                5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800};
    const vd r2 = vd_mul(r, r), r4 = vd_mul(r2, r2), r8 = vd_mul(r4, r4);
    vd p[7];
    for (int i = 0; i < 7; i++)
        p[i] = vd_add(vd_set1(1 / factorial[2 * i]), vd_mul(r, vd_set1(1 / factorial[2 * i + 1])));
    for (int i = 0; i < 3; i++)
        p[i] = vd_add(p[2 * i], vd_mul(r2, p[2 * i + 1]));
    vd sum = vd_add(vd_add(p[0], vd_mul(r4, p[1])), vd_mul(r8, vd_add(p[2], vd_mul(r4, p[6]))));
    vu scale = vu_sub(vu_set1(0x3ff0000000000000), vu_sll(vu_of_bits(shifted), 52)); /* 2^-n */
    return vd_mul(sum, vd_of_bits(scale));
}

/* Return -log(u) for 2^-53 <= u < 1, within 3 units in the last place, except near u = 1.
 *
 * u = m * 2^-e with m in [sqrt(1/2), sqrt(2)).  log(m) = 2 atanh(s) with s = (m - 1) / (m + 1),
 * |s| < 0.1716, is the sum of its series, whose first dropped term is s^22 / 23 = 2^-60. */
VEC vd minus_log(vd u)
{
    vu bits = vu_of_bits(u);
    vu mantissa = vu_and(bits, vu_set1(0x000fffffffffffff));
    vd m = vd_of_bits(vu_or(mantissa, vu_set1(0x3ff0000000000000)));
    /* 1023 - exponent becomes a double by filling the low bits of 2^52. */
    vu e = vu_sub(vu_set1(0x4330000000000000 + 1023), vu_srl(bits, 52));
    vd n = vd_sub(vd_of_bits(e), vd_set1(0x1p52));
    vm small = vm_lt(m, vd_set1(0x1.6a09e667f3bcdp+0));
    m = vd_select(small, m, vd_mul(m, vd_set1(0.5)));
    n = vd_select(small, n, vd_sub(n, vd_set1(1)));
    vd s = vd_div(vd_sub(m, vd_set1(1)), vd_add(m, vd_set1(1)));
    vd s2 = vd_mul(s, s), p = vd_set1(1.0 / 21);
    for (int i = 19; i > 0; i -= 2)
        p = vd_add(vd_mul(p, s2), vd_set1(1.0 / i));
    return vd_sub(vd_mul(n, vd_set1(0x1.62e42fefa39efp-1)), vd_mul(vd_add(s, s), p));
}

/* The two uniform numbers of a later attempt. */
VEC vd later_u(const vu x[4])
{
    vu high = vu_sll(vu_and(x[1], vu_set1(0xffffffff)), 20);
    return open_unit(vu_or(high, vu_and(x[3], vu_set1(0xfffff))));
}
VEC vd later_v(const vu x[4])
{
    vu high = vu_sll(vu_and(x[2], vu_set1(0xffffffff)), 20);
    return open_unit(vu_or(high, vu_and(vu_srl(x[3], 11), vu_set1(0xffe00))));
}

/* Make one attempt for VEC_W elements, each from the four words of its own block.  Return z, and
 * set the bits of the lanes to try again.
 *
 *   x[0] bits 0-9    column of the alias table     x[1]                  u, high 32 bits
 *   x[0] bits 10-31  compared with its threshold   x[3] bits 0-19        u, low 20 bits
 *   x[2]             v, high 32 bits               x[3] bits 20-30       v, the next 11 bits
 *   x[3] bit 31      the sign
 *
 * (u, v) is folded into the triangle u + v < 1 and mapped onto the region's majorant; the point is
 * accepted where it lies under the curve.  In the tail x = x0 + t with t = -log(u) / x0, accepted
 * with probability exp(-t^2 / 2). */
VEC vd later_attempt(const fastinit_ziggurat *t, const vu x[4], uint32_t *again)
{
    const vu names = vu_set1(ZIGGURAT_LAYERS - 1);
    const vd one = vd_set1(1);

    vu column = vu_and(x[0], names);
    vu alias = vu_lookup(t->alias, column);
    vm own = vm_lt_u32(vu_srl(vu_and(x[0], vu_set1(0xffffffff)), ZIGGURAT_LAYER_BITS),
                       vu_srl(alias, ZIGGURAT_LAYER_BITS));
    vu region = vu_select(own, column, vu_and(alias, names));

    vd u = later_u(x), v = later_v(x);

    vm inside = vm_lt(vd_add(u, v), one);
    vd fold_u = vd_select(inside, u, vd_sub(one, u)), fold_v = vd_select(inside, v, vd_sub(one, v));
    vd r[4];
    vd_lookup4(t->region, region, r);
    vd z = vd_add(r[0], vd_mul(fold_u, r[1])), y = vd_add(r[2], vd_mul(fold_v, r[3]));
    vd argument = z;

    vm tail = vm_lt_u32(region, vu_set1(t->tails));
    if (vm_bits(tail)) { /* 2% of the elements here are in it. */
        vd beyond = vd_mul(minus_log(u), vd_set1(t->inverse_x0));
        z = vd_select(tail, vd_add(vd_set1(t->x0), beyond), z);
        y = vd_select(tail, v, y);
        argument = vd_select(tail, beyond, argument);
    }
    vd density = exp_minus(vd_mul(vd_mul(argument, argument), vd_set1(0.5)));
    uint32_t accepted = vm_bits(vm_lt(y, density)) & ~vm_bits(vm_lt(vd_set1(t->limit), z));
    *again = ~accepted & ((1u << VEC_W) - 1);
    vu sign = vu_sll(vu_and(x[3], vu_set1(0x80000000)), 32);
    return vd_of_bits(vu_xor(vu_of_bits(z), sign));
}

/* Make one attempt of the normal between bounds, likewise.  The words are those of later_attempt,
 * but for x[0], of which bits 0-8 name the layer; x[3] bit 31 is not used.  The second attempt
 * tests the point that the first one found: then `first` has its samples, of `sample_bytes` each.
 *
 * u is the place between the layer's ends, v the one between its floor and its ceiling.  In a tail
 * the u of the attempt's own words is turned into an exponential. */
VEC vd later_between(const fastinit_window *t, const vu x[4], const vu *first, size_t sample_bytes,
                     uint32_t *again)
{
    const vu sign = vu_set1(0x8000000000000000);
    vu layer = vu_and(first ? *first : x[0], vu_set1(FASTINIT_LAYERS - 1));
    vd u = later_u(x), v = later_v(x), at = u;
    if (first && sample_bytes == 8)
        at = open_unit(vu_srl(*first, 12));
    else if (first)
        at = vd_mul(vd_from_u53(vu_or(vu_srl(*first, 1), vu_set1(1))), vd_set1(0x1p-31));

    vd r[4];
    vd_lookup4(t->layer, layer, r);
    vd move = vd_mul(at, r[0]), y = vd_add(r[1], vd_mul(v, r[2]));
    vd distance = vd_of_bits(vu_and(vu_of_bits(move), vu_set1(0x7fffffffffffffff)));
    vd slope = vd_set1(t->slope), beyond = vd_set1(0);

    vm tail = vm_lt(vd_set1(0), r[3]);
    if (vm_bits(tail)) {
        beyond = vd_select(tail, vd_mul(minus_log(u), r[1]), beyond);
        vd signed_beyond = vd_of_bits(vu_xor(vu_of_bits(beyond), vu_and(sign, vu_of_bits(r[0]))));
        move = vd_select(tail, vd_add(r[0], signed_beyond), move);
        y = vd_select(tail, vd_mul(v, r[2]), y);
        distance = vd_select(tail, beyond, distance);
        slope = vd_select(tail, vd_set1(0), slope);
    }
    vd density = exp_minus(vd_mul(distance, vd_add(slope, vd_mul(distance, vd_set1(0.5)))));
    uint32_t accepted = vm_bits(vm_lt(y, density)) & ~vm_bits(vm_lt(r[3], beyond));
    *again = ~accepted & ((1u << VEC_W) - 1);
    return vd_add(vd_set1(t->start), move);
}

#endif
