/* The operations of vec.h in plain C.  Every other ISA must reproduce their results bit for bit.
 *
 * A vector is one 64-bit lane, and two groups are in flight (float32 uniform 2.0 ns against 2.7
 * with one, normal 3.8 against 4.6, GCC 12).  Wider "vectors" of arrays were tried and lost: no
 * compiler of today turns their 32 x 32 -> 64 bit products into SSE2's, and what they do instead
 * costs more than the scalar multiplier.  Words are taken out with shifts, so that the byte order
 * of the machine does not matter. */
#include <math.h>
#include <string.h>

#define VEC_W 1
#define VEC_GROUPS 2
#define VEC_GROUPS_LONG 2
#define VEC_AHEAD 0
#define VEC_TILE_ROWS 4
#define VEC_TILE_VECTORS 2

typedef uint64_t vu;
typedef double vd;
typedef struct {
    float f0, f1;
} vf;
typedef uint32_t vm; /* It is 0 or 1. */

#define LOW(a) ((uint32_t)(a))
#define HIGH(a) ((uint32_t)((a) >> 32))
#define PAIR(low, high) ((uint64_t)(low) | (uint64_t)(high) << 32)

VEC vu vu_set1(uint64_t x) { return x; }
VEC vu vu_load(const uint64_t *p) { return *p; }
VEC vu vu_add(vu a, vu b) { return a + b; }
VEC vu vu_sub(vu a, vu b) { return a - b; }
VEC vu vu_and(vu a, vu b) { return a & b; }
VEC vu vu_or(vu a, vu b) { return a | b; }
VEC vu vu_xor(vu a, vu b) { return a ^ b; }
/* It works in 32 bits, so that the products' high halves need not be cleared (a fifth of the time).
 */
VEC vu vu_xor3(vu a, vu b, vu c) { return LOW(a) ^ LOW(b) ^ LOW(c); }
VEC vu vu_srl(vu a, int n) { return a >> n; }
VEC vu vu_sll(vu a, int n) { return a << n; }
VEC vu vu_mul32(vu a, vu b) { return (uint64_t)LOW(a) * LOW(b); }
VEC vu vu_lookup(const uint64_t *t, vu at) { return t[at]; }

VEC vu vu_blocks(uint64_t first) { return first; }
VEC void vu_pack(vu x0, vu x1, vu x2, vu x3, vu out[2])
{
    out[0] = PAIR(LOW(x0), x1);
    out[1] = PAIR(LOW(x2), x3);
}

VEC vu vu_blocks_apart(uint64_t first) { return first; }
VEC void vu_pack_apart(vu x0, vu x1, vu x2, vu x3, vu out[2]) { vu_pack(x0, x2, x1, x3, out); }

VEC vu vu_load_blocks(const uint64_t *p) { return *p; }

VEC void vu_store64(uint64_t *p, vu a) { *p = a; }
VEC void vu_store32(uint32_t *p, vu a) { p[0] = LOW(a), p[1] = HIGH(a); }

/* C leaves it to the compiler what >> makes of a negative int, and what a large unsigned one is
 * converted to.  All compilers of today agree, and a branch on a random sign would be mispredicted.
 */
_Static_assert((-1 >> 1) == -1 && (int32_t)0xffffffffu == -1, "two's complement");
VEC uint32_t sra32(uint32_t a, int n) { return (uint32_t)((int32_t)a >> n); }

VEC vu vu_srl32(vu a, int n) { return PAIR(LOW(a) >> n, HIGH(a) >> n); }
VEC vu vu_sra32(vu a, int n) { return PAIR(sra32(LOW(a), n), sra32(HIGH(a), n)); }
VEC uint32_t vu_ge32(vu a, uint32_t k) { return (LOW(a) >= k) | (uint32_t)(HIGH(a) >= k) << 1; }
VEC uint32_t vu_ge64(vu a, uint64_t k) { return a >= k; }

VEC vf vf_set1(float x) { return (vf){x, x}; }
VEC vf vf_mul(vf a, vf b) { return (vf){a.f0 * b.f0, a.f1 * b.f1}; }
VEC vf vf_add(vf a, vf b) { return (vf){a.f0 + b.f0, a.f1 + b.f1}; }
VEC vf vf_min(vf a, vf b) { return (vf){a.f0 < b.f0 ? a.f0 : b.f0, a.f1 < b.f1 ? a.f1 : b.f1}; }
VEC vf vf_max(vf a, vf b) { return (vf){a.f0 > b.f0 ? a.f0 : b.f0, a.f1 > b.f1 ? a.f1 : b.f1}; }
VEC vf vf_from_i32(vu a) { return (vf){(float)(int32_t)LOW(a), (float)(int32_t)HIGH(a)}; }
VEC vf vf_lookup(const float *t, vu at) { return (vf){t[LOW(at)], t[HIGH(at)]}; }
VEC uint32_t vf_ge_bits(vf a, vf b) { return (a.f0 >= b.f0) | (uint32_t)(a.f1 >= b.f1) << 1; }
VEC vf vf_narrow(vd a, vd b) { return (vf){(float)a, (float)b}; }
VEC vf vf_load(const float *p) { return (vf){p[0], p[1]}; }
VEC vf vf_fma(vf a, vf b, vf c) { return (vf){fmaf(a.f0, b.f0, c.f0), fmaf(a.f1, b.f1, c.f1)}; }
VEC void vf_store(float *p, vf a) { p[0] = a.f0, p[1] = a.f1; }

VEC uint32_t f32_bits(float x)
{
    uint32_t r;
    memcpy(&r, &x, sizeof r);
    return r;
}
/* Numbers below 2^-14, float16's least normal one, are rounded by a sum whose last digit is that of
 * float16's subnormals, 2^-24.  The others are rounded as bfloat16 is below, with another exponent;
 * from 65520 on they are infinite. */
VEC uint16_t f16_bits(float x)
{
    uint32_t bits = f32_bits(x), magnitude = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
    uint32_t subnormal = f32_bits((sign ? -x : x) + 0.5f) - 0x3f000000;
    uint32_t half = magnitude < 0x38800000 ? subnormal : normal;
    return (uint16_t)(sign | (magnitude < 0x477ff000 ? half : 0x7c00));
}
/* The result is the upper half, rounded: the sum carries into it if the lower half is more than
 * half a unit, or just half while the upper one is odd. */
VEC uint16_t bf16_bits(float x)
{
    uint32_t bits = f32_bits(x);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
VEC void vf_store_f16(uint16_t *p, vf even, vf odd)
{
    p[0] = f16_bits(even.f0), p[1] = f16_bits(odd.f0);
    p[2] = f16_bits(even.f1), p[3] = f16_bits(odd.f1);
}
VEC void vf_store_bf16(uint16_t *p, vf even, vf odd)
{
    p[0] = bf16_bits(even.f0), p[1] = bf16_bits(odd.f0);
    p[2] = bf16_bits(even.f1), p[3] = bf16_bits(odd.f1);
}

VEC vd vd_set1(double x) { return x; }
VEC vd vd_add(vd a, vd b) { return a + b; }
VEC vd vd_sub(vd a, vd b) { return a - b; }
VEC vd vd_mul(vd a, vd b) { return a * b; }
VEC vd vd_div(vd a, vd b) { return a / b; }
VEC vd vd_min(vd a, vd b) { return a < b ? a : b; }
VEC vd vd_max(vd a, vd b) { return a > b ? a : b; }
VEC vd vd_from_u53(vu a) { return (double)(int64_t)a; }
VEC vd vd_lookup(const double *t, vu at) { return t[at]; }
VEC void vd_lookup4(const double (*t)[4], vu at, vd out[4])
{
    for (int j = 0; j < 4; j++)
        out[j] = t[at][j];
}
VEC vd vd_load(const double *p) { return *p; }
VEC vd vd_fma(vd a, vd b, vd c) { return fma(a, b, c); }
VEC void vd_store(double *p, vd a) { *p = a; }
VEC vd vd_of_bits(vu a)
{
    vd r;
    memcpy(&r, &a, sizeof r);
    return r;
}
VEC vu vu_of_bits(vd a)
{
    vu r;
    memcpy(&r, &a, sizeof r);
    return r;
}

VEC vm vm_lt(vd a, vd b) { return a < b; }
VEC vm vm_lt_u32(vu a, vu b) { return a < b; }
VEC uint32_t vm_bits(vm a) { return a; }
VEC vd vd_select(vm m, vd a, vd b) { return m ? a : b; }
VEC vu vu_select(vm m, vu a, vu b) { return m ? a : b; }
