/* The operations of vec.h in AVX2. */
#include <immintrin.h>

#define VEC_W 4
#define VEC_GROUPS 2
#define VEC_GROUPS_LONG 2
#define VEC_AHEAD 1
#define VEC_STREAMS
#define VEC_TILE_ROWS 6
#define VEC_TILE_VECTORS 2

typedef __m256i vu;
typedef __m256d vd;
typedef __m256 vf;
typedef __m256d vm; /* A lane is all ones or all zeros. */

VEC vu vu_set1(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
VEC vu vu_load(const uint64_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
VEC vu vu_add(vu a, vu b) { return _mm256_add_epi64(a, b); }
VEC vu vu_sub(vu a, vu b) { return _mm256_sub_epi64(a, b); }
VEC vu vu_and(vu a, vu b) { return _mm256_and_si256(a, b); }
VEC vu vu_or(vu a, vu b) { return _mm256_or_si256(a, b); }
VEC vu vu_xor(vu a, vu b) { return _mm256_xor_si256(a, b); }
VEC vu vu_xor3(vu a, vu b, vu c) { return vu_xor(vu_xor(a, b), c); }
VEC vu vu_srl(vu a, int n) { return _mm256_srli_epi64(a, n); }
VEC vu vu_sll(vu a, int n) { return _mm256_slli_epi64(a, n); }
VEC vu vu_mul32(vu a, vu b) { return _mm256_mul_epu32(a, b); }
VEC vu vu_lookup(const uint64_t *t, vu at)
{
    return _mm256_i64gather_epi64((const long long *)t, at, 8);
}

/* unpacklo and unpackhi work inside 128-bit lanes, so that blocks in the order 0 2 1 3 come out in
 * the order of memory. */
VEC vu vu_blocks(uint64_t first) { return vu_add(vu_set1(first), _mm256_setr_epi64x(0, 2, 1, 3)); }
VEC void vu_pack(vu x0, vu x1, vu x2, vu x3, vu out[2])
{
    vu a = _mm256_blend_epi32(x0, vu_sll(x1, 32), 0xaa);
    vu b = _mm256_blend_epi32(x2, vu_sll(x3, 32), 0xaa);
    out[0] = _mm256_unpacklo_epi64(a, b);
    out[1] = _mm256_unpackhi_epi64(a, b);
}

VEC vu vu_blocks_apart(uint64_t first)
{
    return vu_add(vu_set1(first), _mm256_setr_epi64x(0, 1, 2, 3));
}
VEC void vu_pack_apart(vu x0, vu x1, vu x2, vu x3, vu out[2])
{
    out[0] = _mm256_blend_epi32(x0, vu_sll(x2, 32), 0xaa);
    out[1] = _mm256_blend_epi32(x1, vu_sll(x3, 32), 0xaa);
}

VEC vu vu_load_blocks(const uint64_t *p) { return _mm256_permute4x64_epi64(vu_load(p), 0xd8); }

VEC void vu_store64(uint64_t *p, vu a) { _mm256_storeu_si256((__m256i *)p, a); }
VEC void vu_store32(uint32_t *p, vu a) { _mm256_storeu_si256((__m256i *)p, a); }

VEC void vec_stream(void *to, const void *from)
{
    _mm256_stream_si256(to, _mm256_loadu_si256(from));
}
VEC void vec_stream_end(void) { _mm_sfence(); }

VEC vu vu_srl32(vu a, int n) { return _mm256_srli_epi32(a, n); }
VEC vu vu_sra32(vu a, int n) { return _mm256_srai_epi32(a, n); }
VEC uint32_t vu_ge32(vu a, uint32_t k)
{
    vu m = _mm256_cmpgt_epi32(a, _mm256_set1_epi32((int)k - 1));
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m));
}
VEC uint32_t vu_ge64(vu a, uint64_t k)
{
    vu m = _mm256_cmpgt_epi64(a, vu_set1(k - 1));
    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(m));
}

VEC vf vf_set1(float x) { return _mm256_set1_ps(x); }
VEC vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
VEC vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
VEC vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
VEC vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
VEC vf vf_from_i32(vu a) { return _mm256_cvtepi32_ps(a); }
/* These are single loads because a gather takes longer on AMD's processors (bench/NOTES.md), and
 * several times as long on Intel's whose microcode fences it (CVE-2022-40982).  Each insertion
 * takes the first of four floats: GCC makes one instruction of that, but two of loading a single
 * one. */
VEC __m128 lookup_half(const float *t, __m128i at)
{
    uint64_t low = (uint64_t)_mm_cvtsi128_si64(at), high = (uint64_t)_mm_extract_epi64(at, 1);
    __m128 x = _mm_load_ss(t + (uint32_t)low);
    x = _mm_insert_ps(x, _mm_loadu_ps(t + (low >> 32)), 0x10);
    x = _mm_insert_ps(x, _mm_loadu_ps(t + (uint32_t)high), 0x20);
    return _mm_insert_ps(x, _mm_loadu_ps(t + (high >> 32)), 0x30);
}
VEC vf vf_lookup(const float *t, vu at)
{
    return _mm256_set_m128(lookup_half(t, _mm256_extracti128_si256(at, 1)),
                           lookup_half(t, _mm256_castsi256_si128(at)));
}
VEC uint32_t vf_ge_bits(vf a, vf b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ));
}
VEC vf vf_narrow(vd a, vd b) { return _mm256_set_m128(_mm256_cvtpd_ps(b), _mm256_cvtpd_ps(a)); }
VEC vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
VEC void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
VEC void vf_store_f16(uint16_t *p, vf even, vf odd)
{
    __m128i a = _mm256_cvtps_ph(even, _MM_FROUND_TO_NEAREST_INT);
    __m128i b = _mm256_cvtps_ph(odd, _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)p, _mm_unpacklo_epi16(a, b));
    _mm_storeu_si128((__m128i *)p + 1, _mm_unpackhi_epi16(a, b));
}
/* Each result is the upper half, or one more where the lower half is above 0x8000, or equal to it
 * while the upper one is odd.  That is where lower - (upper is even), saturated at 0, has its
 * highest bit set. */
VEC void vf_store_bf16(uint16_t *p, vf even, vf odd)
{
    vu a = _mm256_castps_si256(even), b = _mm256_castps_si256(odd);
    vu high = _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xaa);
    vu low = _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa);
    low = _mm256_subs_epu16(low, _mm256_andnot_si256(high, _mm256_set1_epi16(1)));
    _mm256_storeu_si256((__m256i *)p, _mm256_add_epi16(high, _mm256_srli_epi16(low, 15)));
}

VEC vd vd_set1(double x) { return _mm256_set1_pd(x); }
VEC vd vd_add(vd a, vd b) { return _mm256_add_pd(a, b); }
VEC vd vd_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
VEC vd vd_mul(vd a, vd b) { return _mm256_mul_pd(a, b); }
VEC vd vd_div(vd a, vd b) { return _mm256_div_pd(a, b); }
VEC vd vd_min(vd a, vd b) { return _mm256_min_pd(a, b); }
VEC vd vd_max(vd a, vd b) { return _mm256_max_pd(a, b); }
VEC vd vd_lookup(const double *t, vu at)
{
    __m128i low = _mm256_castsi256_si128(at), high = _mm256_extracti128_si256(at, 1);
    __m128d a = _mm_load_sd(t + _mm_cvtsi128_si64(low)),
            b = _mm_load_sd(t + _mm_cvtsi128_si64(high));
    a = _mm_loadh_pd(a, t + _mm_extract_epi64(low, 1));
    b = _mm_loadh_pd(b, t + _mm_extract_epi64(high, 1));
    return _mm256_set_m128d(b, a);
}
/* Four loads and a transposition take half the time of four gathers. */
VEC void vd_lookup4(const double (*t)[4], vu at, vd out[4])
{
    vd r0 = _mm256_loadu_pd(t[_mm256_extract_epi64(at, 0)]);
    vd r1 = _mm256_loadu_pd(t[_mm256_extract_epi64(at, 1)]);
    vd r2 = _mm256_loadu_pd(t[_mm256_extract_epi64(at, 2)]);
    vd r3 = _mm256_loadu_pd(t[_mm256_extract_epi64(at, 3)]);
    vd a = _mm256_unpacklo_pd(r0, r1), b = _mm256_unpackhi_pd(r0, r1);
    vd c = _mm256_unpacklo_pd(r2, r3), d = _mm256_unpackhi_pd(r2, r3);
    out[0] = _mm256_permute2f128_pd(a, c, 0x20);
    out[1] = _mm256_permute2f128_pd(b, d, 0x20);
    out[2] = _mm256_permute2f128_pd(a, c, 0x31);
    out[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
VEC vd vd_load(const double *p) { return _mm256_loadu_pd(p); }
VEC void vd_store(double *p, vd a) { _mm256_storeu_pd(p, a); }
VEC vd vd_of_bits(vu a) { return _mm256_castsi256_pd(a); }
VEC vu vu_of_bits(vd a) { return _mm256_castpd_si256(a); }
VEC vd vd_from_u53(vu a)
{
    /* AVX2 has no 64-bit integer conversion.  The halves become the doubles 2^84 + high * 2^32 and
     * 2^52 + low by their exponent bits; every step is exact, as the sum has 53 bits. */
    vd high = vd_of_bits(vu_or(vu_srl(a, 32), vu_set1(0x4530000000000000)));
    vd low = vd_of_bits(_mm256_blend_epi32(a, vu_set1(0x4330000000000000), 0xaa));
    return vd_add(vd_sub(high, vd_set1(0x1p84 + 0x1p52)), low);
}

VEC vm vm_lt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
VEC vm vm_lt_u32(vu a, vu b) { return vd_of_bits(_mm256_cmpgt_epi64(b, a)); }
VEC uint32_t vm_bits(vm a) { return (uint32_t)_mm256_movemask_pd(a); }
VEC vd vd_select(vm m, vd a, vd b) { return _mm256_blendv_pd(b, a, m); }
VEC vu vu_select(vm m, vu a, vu b)
{
    return vu_of_bits(vd_select(m, vd_of_bits(a), vd_of_bits(b)));
}

#ifdef __FMA__ /* Only householder.c is compiled with it. */
VEC vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
VEC vd vd_fma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }
#endif
