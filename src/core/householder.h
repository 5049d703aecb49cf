/* Random orthogonal matrices from Householder reflectors: the internal contract.  The kernels of
 * householder.c do one task each; orthogonal.c says in what order, parallel.c on which thread. */
#ifndef FASTINIT_HOUSEHOLDER_H
#define FASTINIT_HOUSEHOLDER_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* Reflectors are applied in panels of so many.  Part of the stream: it says which normals a
     * panel is made of, and where sums are rounded.  A multiple of every tile of a product. */
    HOUSEHOLDER_PANEL = 96,
    /* Not part of it: the most columns of the result a task takes, and rows packed at a time. */
    HOUSEHOLDER_TILE = 128,
    HOUSEHOLDER_DEPTH = 128,
    HOUSEHOLDER_LANES = 32, /* columns of a product's tile divide this */
    HOUSEHOLDER_SCRATCH = (HOUSEHOLDER_DEPTH + 2 * HOUSEHOLDER_PANEL) * HOUSEHOLDER_TILE,
};

/* One panel of one matrix.  The matrix Q is rows x columns, rows >= columns; where the result is
 * wide, it is stored transposed.  All arrays are of the result's type. */
typedef struct {
    void *out; /* of Q: element (i, j) is out[i * columns + j], or out[j * rows + i] if wide */
    size_t rows, columns;
    int wide;
    double gain;

    size_t first, width;        /* the panel's reflectors: first ... first + width - 1 */
    void *v;                    /* (rows - first) x width, by rows */
    void *v_transposed;         /* if wide: the same, some rows at a time, by columns */
    void *s, *t, *t_transposed; /* HOUSEHOLDER_PANEL columns each */
    void *signs;                /* width */

    /* Tasks ask every few milliseconds, on the thread they run on; non-zero ends them. */
    int (*stopped)(void *watch, size_t thread);
    void *watch;
    void *scratch; /* HOUSEHOLDER_SCRATCH elements for each thread */
} fastinit_reflectors;

/* begin ... end - 1 are rows or columns of v, or columns of Q, counted from the panel's first. */
typedef void fastinit_reflectors_task(const fastinit_reflectors *, size_t begin, size_t end,
                                      size_t thread);

/* In this order; the tasks of a kind are independent. */
typedef struct {
    fastinit_reflectors_task *reflect;   /* columns of v, which holds normals */
    fastinit_reflectors_task *gram;      /* columns of v, multiples of HOUSEHOLDER_LANES but last */
    fastinit_reflectors_task *transpose; /* rows of v, likewise; if wide */
    fastinit_reflectors_task *invert;    /* one task */
    fastinit_reflectors_task *apply;     /* columns of Q, all or none of them of the panel itself */
} fastinit_householder_tasks;

typedef struct {
    fastinit_householder_tasks f32, f64;
} fastinit_householder;

extern const fastinit_householder fastinit_householder_portable, fastinit_householder_avx2,
    fastinit_householder_avx512, fastinit_householder_neon;

#endif
