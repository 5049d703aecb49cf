/* The operations of vec.h in AVX-512 (F, BW and DQ). */
#include <immintrin.h>

#define VEC_W 8
#define VEC_GROUPS 2
#define VEC_GROUPS_LONG 4
#define VEC_AHEAD 1
#define VEC_STREAMS
#define VEC_TILE_ROWS 12
#define VEC_TILE_VECTORS 2

typedef __m512i vu;
typedef __m512d vd;
typedef __m512 vf;
typedef __mmask8 vm;

VEC vu vu_set1(uint64_t x) { return _mm512_set1_epi64((long long)x); }
VEC vu vu_load(const uint64_t *p) { return _mm512_loadu_si512(p); }
VEC vu vu_add(vu a, vu b) { return _mm512_add_epi64(a, b); }
VEC vu vu_sub(vu a, vu b) { return _mm512_sub_epi64(a, b); }
VEC vu vu_and(vu a, vu b) { return _mm512_and_si512(a, b); }
VEC vu vu_or(vu a, vu b) { return _mm512_or_si512(a, b); }
VEC vu vu_xor(vu a, vu b) { return _mm512_xor_si512(a, b); }
VEC vu vu_xor3(vu a, vu b, vu c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
VEC vu vu_srl(vu a, unsigned n) { return _mm512_srli_epi64(a, n); }
VEC vu vu_sll(vu a, unsigned n) { return _mm512_slli_epi64(a, n); }
VEC vu vu_mul32(vu a, vu b) { return _mm512_mul_epu32(a, b); }
VEC vu vu_lookup(const uint64_t *t, vu at) { return _mm512_i64gather_epi64(at, t, 8); }

/* unpacklo and unpackhi work inside 128-bit lanes, so that blocks in this order come out in the
 * order of memory. */
VEC vu vu_blocks(uint64_t first)
{
    return vu_add(vu_set1(first), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
}
VEC void vu_pack(vu x0, vu x1, vu x2, vu x3, vu out[2])
{
    vu a = _mm512_mask_shuffle_epi32(x0, 0xaaaa, x1, _MM_PERM_CCAA);
    vu b = _mm512_mask_shuffle_epi32(x2, 0xaaaa, x3, _MM_PERM_CCAA);
    out[0] = _mm512_unpacklo_epi64(a, b);
    out[1] = _mm512_unpackhi_epi64(a, b);
}

VEC vu vu_blocks_apart(uint64_t first)
{
    return vu_add(vu_set1(first), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
}
VEC void vu_pack_apart(vu x0, vu x1, vu x2, vu x3, vu out[2])
{
    out[0] = _mm512_mask_shuffle_epi32(x0, 0xaaaa, x2, _MM_PERM_CCAA);
    out[1] = _mm512_mask_shuffle_epi32(x1, 0xaaaa, x3, _MM_PERM_CCAA);
}

VEC vu vu_load_blocks(const uint64_t *p)
{
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), vu_load(p));
}

VEC void vu_store64(uint64_t *p, vu a) { _mm512_storeu_si512(p, a); }
VEC void vu_store32(uint32_t *p, vu a) { _mm512_storeu_si512(p, a); }

VEC void vec_stream(void *to, const void *from)
{
    _mm512_stream_si512(to, _mm512_loadu_si512(from));
}
VEC void vec_stream_end(void) { _mm_sfence(); }

VEC vu vu_srl32(vu a, unsigned n) { return _mm512_srli_epi32(a, n); }
VEC vu vu_sra32(vu a, unsigned n) { return _mm512_srai_epi32(a, n); }
VEC uint32_t vu_ge32(vu a, uint32_t k)
{
    return _mm512_cmpge_epu32_mask(a, _mm512_set1_epi32((int)k));
}
VEC uint32_t vu_ge64(vu a, uint64_t k) { return _mm512_cmpge_epu64_mask(a, vu_set1(k)); }

VEC vf vf_set1(float x) { return _mm512_set1_ps(x); }
VEC vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VEC vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VEC vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
VEC vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VEC vf vf_from_i32(vu a) { return _mm512_cvtepi32_ps(a); }
VEC vf vf_lookup(const float *t, vu at) { return _mm512_i32gather_ps(at, t, 4); }
VEC uint32_t vf_ge_bits(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
VEC vf vf_narrow(vd a, vd b)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a)), _mm512_cvtpd_ps(b), 1);
}
VEC vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
VEC vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
VEC void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
VEC void vf_store_f16(uint16_t *p, vf even, vf odd)
{
    vu a = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(even, _MM_FROUND_TO_NEAREST_INT));
    vu b = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(odd, _MM_FROUND_TO_NEAREST_INT));
    _mm512_storeu_si512(p, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
}
/* It rounds as vec_avx2.h explains. */
VEC void vf_store_bf16(uint16_t *p, vf even, vf odd)
{
    vu a = _mm512_castps_si512(even), b = _mm512_castps_si512(odd);
    vu high = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(a, 16), b);
    vu low = _mm512_mask_blend_epi16(0xaaaaaaaa, a, _mm512_slli_epi32(b, 16));
    low = _mm512_subs_epu16(low, _mm512_andnot_si512(high, _mm512_set1_epi16(1)));
    _mm512_storeu_si512(p, _mm512_add_epi16(high, _mm512_srli_epi16(low, 15)));
}

VEC vd vd_set1(double x) { return _mm512_set1_pd(x); }
VEC vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
VEC vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
VEC vd vd_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
VEC vd vd_div(vd a, vd b) { return _mm512_div_pd(a, b); }
VEC vd vd_min(vd a, vd b) { return _mm512_min_pd(a, b); }
VEC vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
VEC vd vd_from_u53(vu a) { return _mm512_cvtepu64_pd(a); }
VEC vd vd_lookup(const double *t, vu at) { return _mm512_i64gather_pd(at, t, 8); }
VEC void vd_lookup4(const double (*t)[4], vu at, vd out[4])
{
    for (int j = 0; j < 4; j++)
        out[j] = _mm512_i64gather_pd(vu_sll(at, 2), t[0] + j, 8);
}
VEC vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
VEC vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
VEC void vd_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
VEC vd vd_of_bits(vu a) { return _mm512_castsi512_pd(a); }
VEC vu vu_of_bits(vd a) { return _mm512_castpd_si512(a); }

VEC vm vm_lt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
VEC vm vm_lt_u32(vu a, vu b) { return _mm512_cmplt_epu64_mask(a, b); }
VEC uint32_t vm_bits(vm a) { return a; }
VEC vd vd_select(vm m, vd a, vd b) { return _mm512_mask_blend_pd(m, b, a); }
VEC vu vu_select(vm m, vu a, vu b) { return _mm512_mask_blend_epi64(m, b, a); }
