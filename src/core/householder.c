/* Random orthogonal matrices are products of Householder reflectors.  This file is compiled once
 * per ISA.
 *
 * THE METHOD.  Let X be a rows x columns matrix of independent normals, rows >= columns.  In its
 * factorization X = Q R with a positive diagonal of R, Q is Haar distributed.  Householder's
 * algorithm finds reflectors H_0, H_1, ... with H_0 X = (R's first column, a smaller matrix), and
 * so on.  Stewart ("The efficient generation of random orthogonal matrices with an application to
 * condition estimators", SIAM J. Numer. Anal. 17 (1980) 403-409, section 3): what H_0 leaves of the
 * other columns is normal again and independent of H_0, as the distribution does not change under
 * rotations.  So nothing need be factored: draw column k from row k down as a fresh vector x of
 * rows - k normals and take
 *
 *     v_k = x + sign(x_0) |x| e_0,   H_k = I - 2 v_k v_k' / v_k'v_k,   H_k x = -sign(x_0) |x| e_0.
 *
 * The diagonal of R is then -sign(x_0) |x|; to make it positive, as Haar's measure wants, column k
 * of Q is multiplied by d_k = -sign(x_0):   Q = H_0 H_1 ... H_last  E D,
 * E the first columns of the identity, D the diagonal of the signs.
 *
 * IN BLOCKS.  The reflectors of a panel, V = (v_k ... v_l), multiply to I - V T V' with T upper
 * triangular (Schreiber & Van Loan, SIAM J. Sci. Stat. Comput. 10 (1989) 53-57).  T is the inverse
 * of
 *
 *     S = the upper triangle of V'V, its diagonal halved
 *
 * (the UT form: Joffrain, Low, Quintana-Orti, van de Geijn & Van Zee, ACM Trans. Math. Softw. 32
 * (2006) 169-179).  v_k is zero above row k; so the last panel touches only the last rows and
 * columns of Q, and backwards from it each panel finds
 *
 *         C = ( E D  0 )  own columns of the panel,     C - V T V'C   =   C + V (-T) V'C
 *             (  0   Q')  and what is done already  ->
 *
 * in the place of the result: 4/3 n^3 operations for a square matrix, all in matrix products.  V is
 * drawn from the stream when its turn comes: it is never more than one panel.
 *
 * THE SAME BITS.  Every element of a product is a sum along one index in its order, one fused
 * multiply-add each (householder_real.h): how it is cut into tiles changes nothing. */
#include <math.h>
#include <string.h>

#include "ops.h"
#include "vec.h"

#ifdef __FAST_MATH__
#error "the stream is exactly rounded arithmetic: build without -ffast-math"
#endif

enum {
    PANEL = HOUSEHOLDER_PANEL,
    TILE = HOUSEHOLDER_TILE,
    DEPTH = HOUSEHOLDER_DEPTH,
    ROWS = VEC_TILE_ROWS,
    VECTORS = VEC_TILE_VECTORS,
};

#define JOIN(a, b) a##b

/* The loops over a tile must unroll, so that it lives in registers.  The loop over the sum unrolls
 * a few times, as its counters are a fifth of the instructions (GCC, 4096 x 4096 in the median of
 * runs beside other work: 1.33 s, not 1.63; Clang gains up to 2 and loses with 4). */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#define UNROLL_SOME _Pragma("unroll 2")
#else
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_SOME _Pragma("GCC unroll 4")
#endif

#define REAL float
#define VECTOR vf
#define NAME(name) JOIN(name, _f32)
#define OF(operation) JOIN(vf_, operation)
#include "householder_real.h"
#undef REAL
#undef VECTOR
#undef NAME
#undef OF

#define REAL double
#define VECTOR vd
#define NAME(name) JOIN(name, _f64)
#define OF(operation) JOIN(vd_, operation)
#include "householder_real.h"

#define HOUSEHOLDER(isa) JOIN(fastinit_householder_, isa)
#define TASKS(type) {reflect_##type, gram_##type, transpose_##type, invert_##type, apply_##type}

const fastinit_householder HOUSEHOLDER(FASTINIT_ISA) = {TASKS(f32), TASKS(f64)};
