/* The tasks that random orthogonal matrices are made of.  householder.c has the kernel of each;
 * orthogonal.c decides in what order they run, and parallel.c on which thread. */
#ifndef FASTINIT_HOUSEHOLDER_H
#define FASTINIT_HOUSEHOLDER_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* Reflectors are applied in panels of this many.  This number is part of the stream: it says
     * which normals a panel is made of, and where sums are rounded.  It is a multiple of the sizes
     * of every tile of a product. */
    HOUSEHOLDER_PANEL = 96,
    /* These are not part of the stream: the most columns of the result that a task takes, how many
     * rows it packs at a time, and a multiple of the columns of every tile. */
    HOUSEHOLDER_TILE = 128,
    HOUSEHOLDER_DEPTH = 128,
    HOUSEHOLDER_LANES = 32,
    HOUSEHOLDER_SCRATCH = (HOUSEHOLDER_DEPTH + 2 * HOUSEHOLDER_PANEL) * HOUSEHOLDER_TILE,
};

/* One panel of one matrix.  The matrix Q is rows x columns, rows >= columns; where the result is
 * wide, it is stored transposed.  All arrays are of the result's type. */
typedef struct {
    void *out; /* Element (i, j) of Q is out[i * columns + j], or out[j * rows + i] if wide. */
    size_t rows, columns;
    int wide;
    double gain;

    size_t first, width;        /* The panel's reflectors are first ... first + width - 1. */
    void *v;                    /* V is (rows - first) x width, by rows. */
    void *v_transposed;         /* If wide, it holds V some rows at a time, by columns. */
    void *s, *t, *t_transposed; /* S, -T and its transpose have HOUSEHOLDER_PANEL columns each. */
    void *signs;                /* It has width elements. */

    /* Tasks call stopped every few milliseconds, on the thread they run on; non-zero ends them. */
    int (*stopped)(void *watch, size_t thread);
    void *watch;
    void *scratch; /* Each thread has HOUSEHOLDER_SCRATCH elements of it. */
} fastinit_reflectors;

/* A task is for begin ... end - 1: rows or columns of V, or columns of Q counted from the panel's
 * first. */
typedef void fastinit_reflectors_task(const fastinit_reflectors *, size_t begin, size_t end,
                                      size_t thread);

/* The tasks run in this order; those of one member are independent.  gram and transpose take
 * multiples of HOUSEHOLDER_LANES, except at the end. */
typedef struct {
    fastinit_reflectors_task *reflect;   /* takes columns of V, which holds normals */
    fastinit_reflectors_task *gram;      /* takes columns of V, and makes those of S */
    fastinit_reflectors_task *transpose; /* takes rows of V; needed if wide */
    fastinit_reflectors_task *invert;    /* is one task, and makes -T */
    fastinit_reflectors_task *apply;     /* takes columns of Q, all or none of them the panel's */
} fastinit_householder_tasks;

typedef struct {
    fastinit_householder_tasks f32, f64;
} fastinit_householder;

extern const fastinit_householder fastinit_householder_portable, fastinit_householder_avx2,
    fastinit_householder_avx512, fastinit_householder_neon;

#endif
