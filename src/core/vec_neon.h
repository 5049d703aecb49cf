/* The operations of vec.h in NEON (AArch64). */
#include <arm_neon.h>

#define VEC_W 2
#define VEC_GROUPS 4
#define VEC_GROUPS_LONG 4
#define VEC_AHEAD 1
#define VEC_TILE_ROWS 6
#define VEC_TILE_VECTORS 4

typedef uint64x2_t vu;
typedef float64x2_t vd;
typedef float32x4_t vf;
typedef uint64x2_t vm; /* A lane is all ones or all zeros. */

#define VU32(a) vreinterpretq_u32_u64(a)
#define VU64(a) vreinterpretq_u64_u32(a)

VEC vu vu_set1(uint64_t x) { return vdupq_n_u64(x); }
VEC vu vu_load(const uint64_t *p) { return vld1q_u64(p); }
VEC vu vu_add(vu a, vu b) { return vaddq_u64(a, b); }
VEC vu vu_sub(vu a, vu b) { return vsubq_u64(a, b); }
VEC vu vu_and(vu a, vu b) { return vandq_u64(a, b); }
VEC vu vu_or(vu a, vu b) { return vorrq_u64(a, b); }
VEC vu vu_xor(vu a, vu b) { return veorq_u64(a, b); }
VEC vu vu_xor3(vu a, vu b, vu c) { return vu_xor(vu_xor(a, b), c); }
VEC vu vu_srl(vu a, int n) { return vshlq_u64(a, vdupq_n_s64(-n)); }
VEC vu vu_sll(vu a, int n) { return vshlq_u64(a, vdupq_n_s64(n)); }
VEC vu vu_mul32(vu a, vu b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
VEC vu vu_lookup(const uint64_t *t, vu at)
{
    return vcombine_u64(vld1_u64(t + vgetq_lane_u64(at, 0)), vld1_u64(t + vgetq_lane_u64(at, 1)));
}

VEC vu vu_blocks(uint64_t first)
{
    return vcombine_u64(vcreate_u64(first), vcreate_u64(first + 1));
}
VEC void vu_pack(vu x0, vu x1, vu x2, vu x3, vu out[2])
{
    vu a = VU64(vtrn1q_u32(VU32(x0), VU32(x1)));
    vu b = VU64(vtrn1q_u32(VU32(x2), VU32(x3)));
    out[0] = vzip1q_u64(a, b);
    out[1] = vzip2q_u64(a, b);
}

VEC vu vu_blocks_apart(uint64_t first) { return vu_blocks(first); }
VEC void vu_pack_apart(vu x0, vu x1, vu x2, vu x3, vu out[2])
{
    out[0] = VU64(vtrn1q_u32(VU32(x0), VU32(x2)));
    out[1] = VU64(vtrn1q_u32(VU32(x1), VU32(x3)));
}

VEC vu vu_load_blocks(const uint64_t *p) { return vu_load(p); }

VEC void vu_store64(uint64_t *p, vu a) { vst1q_u64(p, a); }
VEC void vu_store32(uint32_t *p, vu a) { vst1q_u32(p, VU32(a)); }

VEC vu vu_srl32(vu a, int n) { return VU64(vshlq_u32(VU32(a), vdupq_n_s32(-n))); }
VEC vu vu_sra32(vu a, int n)
{
    return vreinterpretq_u64_s32(vshlq_s32(vreinterpretq_s32_u64(a), vdupq_n_s32(-n)));
}
VEC uint32_t bits_of_lanes(uint32x4_t lanes)
{
    const uint32_t bit[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(lanes, vld1q_u32(bit)));
}
VEC uint32_t vu_ge32(vu a, uint32_t k) { return bits_of_lanes(vcgeq_u32(VU32(a), vdupq_n_u32(k))); }
VEC uint32_t vm_bits(vm a)
{
    return (uint32_t)((vgetq_lane_u64(a, 0) & 1) | (vgetq_lane_u64(a, 1) & 2));
}
VEC uint32_t vu_ge64(vu a, uint64_t k) { return vm_bits(vcgeq_u64(a, vu_set1(k))); }

/* min and max compare, as those of x86 do: FMIN orders the signed zeros, but MINPS does not. */
VEC vf vf_set1(float x) { return vdupq_n_f32(x); }
VEC vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
VEC vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
VEC vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
VEC vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
VEC vf vf_from_i32(vu a) { return vcvtq_f32_s32(vreinterpretq_s32_u64(a)); }
VEC vf vf_lookup(const float *t, vu at)
{
    uint32x4_t i = VU32(at);
    vf r = vld1q_dup_f32(t + vgetq_lane_u32(i, 0));
    r = vld1q_lane_f32(t + vgetq_lane_u32(i, 1), r, 1);
    r = vld1q_lane_f32(t + vgetq_lane_u32(i, 2), r, 2);
    return vld1q_lane_f32(t + vgetq_lane_u32(i, 3), r, 3);
}
VEC uint32_t vf_ge_bits(vf a, vf b) { return bits_of_lanes(vcgeq_f32(a, b)); }
VEC vf vf_narrow(vd a, vd b) { return vcombine_f32(vcvt_f32_f64(a), vcvt_f32_f64(b)); }
VEC vf vf_load(const float *p) { return vld1q_f32(p); }
VEC vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
VEC void vf_store(float *p, vf a) { vst1q_f32(p, a); }
VEC void vf_store_f16(uint16_t *p, vf even, vf odd)
{
    uint16x4_t a = vreinterpret_u16_f16(vcvt_f16_f32(even));
    uint16x4_t b = vreinterpret_u16_f16(vcvt_f16_f32(odd));
    vst2_u16(p, ((uint16x4x2_t){{a, b}}));
}
/* It rounds as vec_avx2.h explains. */
VEC void vf_store_bf16(uint16_t *p, vf even, vf odd)
{
    uint16x8_t a = vreinterpretq_u16_f32(even), b = vreinterpretq_u16_f32(odd);
    uint16x8_t high = vtrn2q_u16(a, b);
    uint16x8_t low = vqsubq_u16(vtrn1q_u16(a, b), vbicq_u16(vdupq_n_u16(1), high));
    vst1q_u16(p, vsraq_n_u16(high, low, 15));
}

VEC vd vd_set1(double x) { return vdupq_n_f64(x); }
VEC vd vd_add(vd a, vd b) { return vaddq_f64(a, b); }
VEC vd vd_sub(vd a, vd b) { return vsubq_f64(a, b); }
VEC vd vd_mul(vd a, vd b) { return vmulq_f64(a, b); }
VEC vd vd_div(vd a, vd b) { return vdivq_f64(a, b); }
VEC vd vd_min(vd a, vd b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
VEC vd vd_max(vd a, vd b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
VEC vd vd_from_u53(vu a) { return vcvtq_f64_u64(a); }
VEC vd vd_lookup(const double *t, vu at)
{
    return vcombine_f64(vld1_f64(t + vgetq_lane_u64(at, 0)), vld1_f64(t + vgetq_lane_u64(at, 1)));
}
VEC void vd_lookup4(const double (*t)[4], vu at, vd out[4])
{
    const double *p = t[vgetq_lane_u64(at, 0)], *q = t[vgetq_lane_u64(at, 1)];
    for (int j = 0; j < 4; j++)
        out[j] = vcombine_f64(vld1_f64(p + j), vld1_f64(q + j));
}
VEC vd vd_load(const double *p) { return vld1q_f64(p); }
VEC vd vd_fma(vd a, vd b, vd c) { return vfmaq_f64(c, a, b); }
VEC void vd_store(double *p, vd a) { vst1q_f64(p, a); }
VEC vd vd_of_bits(vu a) { return vreinterpretq_f64_u64(a); }
VEC vu vu_of_bits(vd a) { return vreinterpretq_u64_f64(a); }

VEC vm vm_lt(vd a, vd b) { return vcltq_f64(a, b); }
VEC vm vm_lt_u32(vu a, vu b) { return vcltq_u64(a, b); }
VEC vd vd_select(vm m, vd a, vd b) { return vbslq_f64(m, a, b); }
VEC vu vu_select(vm m, vu a, vu b) { return vbslq_u64(m, a, b); }
