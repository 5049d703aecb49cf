/* The sampling kernels.  They are written once, in the operations of vec.h, and compiled once per
 * ISA.  Everything here is static but one struct of pointers, so that instructions that the
 * processor may lack never leave this file. */
#include <float.h>
#include <string.h>

#include "batches.h"
#include "ops.h"
#include "pending.h"
#include "short_spans.h"

#ifdef __FAST_MATH__
#error "the stream is exactly rounded arithmetic: build without -ffast-math"
#endif
_Static_assert(FLT_EVAL_METHOD == 0, "float and double must be computed in their own precision");

/* Make n elements from `start` on, whole batches that lie in one chunk, at the places from `at` on.
 */
VEC void make_batches(int tag, fastinit_type type, char *out, uint64_t start, size_t at, size_t n,
                      pending *p, const call *c, redraw_function *redraw_pending)
{
    const size_t size = fastinit_size_of(type), per_block = 16 / word_bytes_of(type);
    const size_t in_step = VEC_GROUPS_LONG / VEC_GROUPS; /* batches of a long step, at most */
    const size_t all = n / BATCH, few = 4;
    const size_t steps = in_step > 1 && all < few ? 0 : all / in_step * in_step;
    const uint64_t block = start / per_block, word3 = word_3(tag, type, 0);
    const vu block_high = vu_set1(block >> 32);
    char *to = out + at * size;
    uint64_t masks[CHUNK / BATCH];

    if (steps)
        batches(VEC_GROUPS_LONG, tag, type, to, NULL, NULL, block, block_high, word3, steps, masks,
                c->args, &c->keys);
    if (in_step > 1 && steps < all)
        batches(VEC_GROUPS, tag, type, to + steps * BATCH * size, NULL, NULL,
                block + steps * (BATCH / per_block), block_high, word3, all - steps, masks + steps,
                c->args, &c->keys);
    for (size_t b = 0; is_redrawn(tag) && b < all; b++) {
        if (p->count > PENDING - BATCH)
            redraw_pending(out, p, c);
        size_t count = p->count; /* The copy cannot be changed by stores to the list. */
        for (uint64_t mask = masks[b]; mask; mask &= mask - 1) {
            const size_t i = b * BATCH + element_of_bit(type, (size_t)__builtin_ctzll(mask));
            p->index[count] = start + i;
            p->place[count++] = (uint32_t)(at + i);
        }
        p->count = count;
    }
}

/* Spans of fewer elements are listed: they would end before the steps ahead pay. */
enum { LONG_SPAN = 512 };

/* Make the elements first ... first + n - 1 of the spans: the whole batches of long spans at once,
 * all others by the list.  Batches are cut at fixed places of the whole array.  What is rejected is
 * redrawn once a chunk is made, so that spans of a few elements share the redraw's vectors. */
VEC void make(int tag, fastinit_type type, char *out, const fastinit_spans *spans, size_t first,
              size_t n, const fastinit_args *args, listed_function *make_list,
              redraw_function *redraw_pending)
{
    const int is_long = !spans->keyed && spans->length >= LONG_SPAN;
    call c = {.args = *args, .keyed = spans->keyed};
    block_list list;
    pending p;

    philox_schedule(&c.keys, args->seed);
    p.count = list.count = list.parts = 0;
    list.partial = list.gaps = 0;
    cursor from = {first / spans->length, first % spans->length};
    for (size_t at = 0; n;) {
        const uint64_t start = spans->starts[from.span] + from.element;
        const size_t in_batch = BATCH - start % BATCH;
        size_t count = size_min(n, spans->length - from.element);

        if (is_long && in_batch == BATCH && count >= BATCH) {
            count = size_min(count / BATCH * BATCH, CHUNK - start % CHUNK);
            make_batches(tag, type, out, start, at, count, &p, &c, redraw_pending);
            from.element += count;
            if (from.element == spans->length)
                from.span++, from.element = 0;
        } else {
            count = is_long ? size_min(count, in_batch) : size_min(n, CHUNK - at);
            count = spans->keyed ? list_blocks(type, 1, &list, spans, &from, at, count)
                                 : list_blocks(type, 0, &list, spans, &from, at, count);
        }
        n -= count;
        at += count;
        if (list.count == LISTED || (list.count && (at >= CHUNK || !n)))
            make_list(out, &list, &p, &c);
        if (at >= CHUNK || !n) {
            redraw_pending(out, &p, &c);
            out += at * fastinit_size_of(type);
            at = 0;
        }
    }
}

/* The rest of a kernel is not inlined into it, which would duplicate the code. */
#define NOT_INLINE static __attribute__((noinline))
#define KERNEL(name, tag, type)                                                                    \
    NOT_INLINE void name##_redraw(char *out, pending *p, const call *c)                            \
    {                                                                                              \
        redraw(tag, type, out, p, c);                                                              \
    }                                                                                              \
    NOT_INLINE void name##_listed(char *out, block_list *list, pending *p, const call *c)          \
    {                                                                                              \
        make_listed(tag, type, 0, out, list, p, c, name##_redraw);                                 \
    }                                                                                              \
    NOT_INLINE void name##_keyed(char *out, block_list *list, pending *p, const call *c)           \
    {                                                                                              \
        make_listed(tag, type, 1, out, list, p, c, name##_redraw);                                 \
    }                                                                                              \
    NOT_INLINE void name##_scattered(char *out, const fastinit_spans *spans, size_t first,         \
                                     size_t n, const fastinit_args *args)                          \
    {                                                                                              \
        make_scattered(tag, type, out, spans, first, n, args, name##_redraw);                      \
    }                                                                                              \
    static void name(void *out, const fastinit_spans *spans, size_t first, size_t n,               \
                     const fastinit_args *args)                                                    \
    {                                                                                              \
        if (spans->length < SHORT_SPAN)                                                            \
            name##_scattered(out, spans, first, n, args);                                          \
        else                                                                                       \
            make(tag, type, out, spans, first, n, args,                                            \
                 spans->keyed ? name##_keyed : name##_listed, name##_redraw);                      \
    }
#define KERNELS(name, tag)                                                                         \
    KERNEL(name##_f16, tag, FASTINIT_F16)                                                          \
    KERNEL(name##_bf16, tag, FASTINIT_BF16)                                                        \
    KERNEL(name##_f32, tag, FASTINIT_F32)                                                          \
    KERNEL(name##_f64, tag, FASTINIT_F64)
KERNEL(bits_u32, BITS, FASTINIT_U32)
KERNEL(bits_u64, BITS, FASTINIT_U64)
KERNELS(uniform, UNIFORM)
KERNELS(normal, NORMAL)
KERNELS(truncated, TRUNCATED)
KERNELS(between, BETWEEN)
KERNEL(orthogonal_f32, ORTHOGONAL, FASTINIT_F32)
KERNEL(orthogonal_f64, ORTHOGONAL, FASTINIT_F64)

/* Known-answer tests give any counter.  It goes into every lane, and the first one's words are the
 * answer. */
static void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    vu x[VEC_GROUPS][4];
    uint64_t lanes[VEC_W];
    for (int g = 0; g < VEC_GROUPS; g++)
        for (int j = 0; j < 4; j++)
            x[g][j] = vu_set1(counter[j]);
    philox_keys keys;
    philox_schedule(&keys, key[0] | (uint64_t)key[1] << 32);
    philox(x, &keys);
    for (int j = 0; j < 4; j++) {
        vu_store64(lanes, x[0][j]);
        out[j] = (uint32_t)lanes[0];
    }
}

#ifdef VEC_STREAMS
/* Copy past the caches: all but the ends, which are not whole vectors. */
static void stream(void *to, const void *from, size_t bytes)
{
    size_t done = size_min(bytes, -(uintptr_t)to % sizeof(vu));
    memcpy(to, from, done);
    for (; bytes - done >= sizeof(vu); done += sizeof(vu))
        vec_stream((char *)to + done, (const char *)from + done);
    vec_stream_end();
    memcpy((char *)to + done, (const char *)from + done, bytes - done);
}
#endif

#define JOIN(a, b) a##b
#define OPS(isa) JOIN(fastinit_ops_, isa)
#define HOUSEHOLDER(isa) JOIN(fastinit_householder_, isa)
#define TEXT(isa) #isa
#define NAME(isa) TEXT(isa)
#define BY_TYPE(name)                                                                              \
    {                                                                                              \
        [FASTINIT_F16] = name##_f16,                                                               \
        [FASTINIT_BF16] = name##_bf16,                                                             \
        [FASTINIT_F32] = name##_f32,                                                               \
        [FASTINIT_F64] = name##_f64,                                                               \
    }

const fastinit_ops OPS(FASTINIT_ISA) = {
    .name = NAME(FASTINIT_ISA),
    .philox = philox_block,
    .bits = {[FASTINIT_U32] = bits_u32, [FASTINIT_U64] = bits_u64},
    .uniform = BY_TYPE(uniform),
    .normal = BY_TYPE(normal),
    .truncated = BY_TYPE(truncated),
    .between = BY_TYPE(between),
    .orthogonal = {[FASTINIT_F32] = orthogonal_f32, [FASTINIT_F64] = orthogonal_f64},
#ifdef VEC_STREAMS
    .stream = stream,
#endif
    .householder = &HOUSEHOLDER(FASTINIT_ISA),
};
