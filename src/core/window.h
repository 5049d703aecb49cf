/* The table of a normal between bounds of any width, and its first attempt.  window.c, which makes
 * the table, says what the method is. */
#ifndef FASTINIT_WINDOW_H
#define FASTINIT_WINDOW_H

#include "fastinit.h"
#include "ziggurat.h"

/* Turn 2 * VEC_W words into standard variates, and set the bits of those to redraw.
 *
 * Bits 0-8 of a word name the layer; bits 1-31 are an integer that is made odd, the place between
 * the layer's ends.  As in the normal, the name is also the integer's end. */
VEC vf first_between_f32(const fastinit_window *t, vu words, uint32_t *redraw)
{
    const uint64_t names = FASTINIT_LAYERS - 1;
    vu layer = vu_and(words, vu_set1(names << 32 | names));
    vf at = vf_from_i32(vu_or(vu_srl32(words, 1), vu_set1(0x0000000100000001)));
    *redraw = vf_ge_bits(at, vf_lookup(t->inner_f32, layer));
    return vf_add(vf_mul(at, vf_lookup(t->width_f32, layer)), vf_set1((float)t->start));
}

/* Turn VEC_W 64-bit samples into standard variates.  Bits 0-8 name the layer, bits 12-63 are the
 * place between its ends; bits 9-11 are not used. */
VEC vd first_between_f64(const fastinit_window *t, vu samples, uint32_t *redraw)
{
    vu layer = vu_and(samples, vu_set1(FASTINIT_LAYERS - 1));
    vd at = open_unit(vu_srl(samples, 12));
    *redraw = ~vm_bits(vm_lt(at, vd_lookup(t->inner_f64, layer))) & ((1u << VEC_W) - 1);
    return vd_add(vd_mul(at, vd_lookup(t->width_f64, layer)), vd_set1(t->start));
}

#endif
