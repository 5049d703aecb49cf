/* The tasks of householder.c for one type of numbers.  householder.c includes this file twice, and
 * defines before:
 *
 *   REAL       the type, float or double
 *   VECTOR     the type of a vector of them in vec.h, vf or vd
 *   NAME(x)    x with a suffix for the type: what this file defines is named so
 *   OF(x)      the operation x of vec.h on that vector: OF(add) is vf_add or vd_add
 *
 * The same for both types are
 *
 *   PANEL, TILE, DEPTH    the sizes of householder.h
 *   ROWS, VECTORS         rows, and vectors in a row, of a tile of a product
 *   UNROLL, UNROLL_SOME   pragmas before loops over a tile, and over the terms of its sums
 */

enum {
    NAME(LANES) = sizeof(VECTOR) / sizeof(REAL),
    NAME(COLUMNS) = VECTORS * NAME(LANES), /* of a tile */
};

/* A left factor: the element in row i and at k along the sum is at[i * row + k * step]. */
typedef struct {
    const REAL *at;
    size_t row, step;
} NAME(left);

/* A right factor or a result has its columns in groups of COLUMNS: the element in row i and column
 * j is at[j / COLUMNS * group + i * row + j % COLUMNS]. */
typedef struct {
    REAL *at;
    size_t group, row;
} NAME(right);

/* c = a b, or c += a b if add; c has rows x columns, and each of its elements is a sum of depth
 * terms.  triangular says that a is zero left of its diagonal. */
typedef struct {
    size_t rows, columns, depth;
    NAME(left) a;
    NAME(right) b, c;
    int add, triangular;
} NAME(product);

/* Compute one tile of so many rows and vectors, which must be constants.  Each of its elements adds
 * up along the depth in order, from what c holds or from 0. */
VEC void NAME(tile)(int rows, int vectors, const NAME(product) * product)
{
    const NAME(product) p = *product; /* The copy cannot be changed by stores to c. */
    VECTOR sum[12][6], x[6];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            sum[i][j] =
                p.add ? OF(load)(p.c.at + (size_t)i * p.c.row + j * NAME(LANES)) : OF(set1)(0);
    }
    UNROLL_SOME
    for (size_t k = 0; k < p.depth; k++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            x[j] = OF(load)(p.b.at + k * p.b.row + j * NAME(LANES));
        UNROLL
        for (int i = 0; i < rows; i++) {
            VECTOR factor = OF(set1)(p.a.at[(size_t)i * p.a.row + k * p.a.step]);
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = OF(fma)(factor, x[j], sum[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            OF(store)(p.c.at + (size_t)i * p.c.row + j * NAME(LANES), sum[i][j]);
    }
}

static void NAME(full_tile)(const NAME(product) * tile) { NAME(tile)(ROWS, VECTORS, tile); }

/* Compute a tile of the last rows of a product, of which there are fewer than ROWS. */
static void NAME(last_tile)(const NAME(product) * tile)
{
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        if (n < ROWS)                                                                              \
            NAME(tile)(n < ROWS ? n : 1, VECTORS, tile);                                           \
        break;
    switch (tile->rows) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
    }
#undef CASE
}

/* Compute a product.  Nothing outside of c is written, while b is read up to a whole group of
 * columns.  The terms left of a triangle's diagonal are left out, as they would add zeros.
 *
 * A tile's rows of a stay in the nearest cache while b goes by; what is added to next is fetched
 * meanwhile.  Where rows of c lie a power of two apart, more of them would drive each other out.
 *
 * This is inlined because its callers pass constants; else small matrices take 3% longer. */
VEC void NAME(multiply)(NAME(product) p)
{
    for (size_t i = 0; i < p.rows; i += ROWS) {
        const size_t skip = p.triangular ? i : 0, few = size_min(p.rows - i, ROWS);
        const size_t after = size_min(p.rows - i - few, ROWS);
        NAME(product) tile = p;

        tile.rows = few;
        tile.depth -= skip;
        tile.a.at += i * p.a.row + skip * p.a.step;
        for (size_t j = 0; j < p.columns; j += NAME(COLUMNS)) {
            const size_t group = j / NAME(COLUMNS), some = p.columns - j;
            REAL *result = p.c.at + group * p.c.group + i * p.c.row;
            REAL aside[12 * NAME(COLUMNS)];
            const int is_aside = some < NAME(COLUMNS);

            tile.b.at = p.b.at + group * p.b.group + skip * p.b.row;
            tile.c.at = is_aside ? aside : result;
            tile.c.row = is_aside ? NAME(COLUMNS) : p.c.row;
            if (is_aside) {
                memset(aside, 0, sizeof aside);
                if (p.add)
                    for (size_t k = 0; k < few; k++)
                        memcpy(aside + k * tile.c.row, result + k * p.c.row, some * sizeof(REAL));
            } else if (p.add) {
                for (size_t k = 0; k < after; k++)
                    __builtin_prefetch(result + (few + k) * p.c.row, 1);
            }
            if (few == ROWS)
                NAME(full_tile)(&tile);
            else
                NAME(last_tile)(&tile);
            if (is_aside)
                for (size_t k = 0; k < few; k++)
                    memcpy(result + k * p.c.row, aside + k * tile.c.row, some * sizeof(REAL));
        }
    }
}

/* Return whether the task must end.  It asks at some of the rows alone, the multiples of DEPTH. */
static int NAME(pause)(const fastinit_reflectors *p, size_t row, size_t thread)
{
    return row % DEPTH == 0 && p->stopped(p->watch, thread);
}

/* Turn normals into reflectors.  The norms are sums in binary64: the squares of 64 rows are added
 * in order, the sums of such blocks in pairs, and pairs of pairs. */
static void NAME(reflect)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread)
{
    enum { BLOCK = 64, LEVELS = 8 * sizeof(size_t), MOST = HOUSEHOLDER_LANES };
    REAL *v = p->v, *s = p->s, *signs = p->signs;
    const size_t rows = p->rows - p->first, n = end - begin;
    double level[LEVELS][MOST], sum[MOST];

    for (size_t k = begin; k < end; k++)
        for (size_t i = 0; i < k; i++)
            v[i * p->width + k] = 0;
    size_t block = 0;
    for (size_t i = 0; i < rows; block++) {
        if (NAME(pause)(p, i, thread))
            return;
        const size_t last = rows - i < BLOCK ? rows : i + BLOCK;
        for (size_t k = 0; k < n; k++)
            sum[k] = 0;
        for (; i < last; i++)
            for (size_t k = 0; k < n; k++) {
                double x = v[i * p->width + begin + k];
                sum[k] += x * x;
            }
        int up = 0;
        for (; block >> up & 1; up++)
            for (size_t k = 0; k < n; k++)
                sum[k] = level[up][k] + sum[k];
        memcpy(level[up], sum, n * sizeof *sum);
    }
    for (size_t k = 0; k < n; k++) {
        double norm = 0;
        for (int up = 0; up < LEVELS; up++)
            if (block >> up & 1)
                norm = level[up][k] + norm;
        const size_t at = begin + k;
        REAL *head = v + at * p->width + at;
        double x = *head, signed_norm = x < 0 ? -sqrt(norm) : sqrt(norm);
        signs[at] = x < 0 ? 1 : -1;
        /* With one row, H = -1 whatever v is; with this v it is so exactly. */
        *head = rows - at == 1 ? 1 : (REAL)(x + signed_norm);
        double y = *head;
        s[at * PANEL + at] = rows - at == 1 ? (REAL)0.5 : (REAL)((norm - x * x + y * y) * 0.5);
    }
}

/* Compute columns of the strict upper triangle of S = V'V. */
static void NAME(gram)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread)
{
    REAL *v = p->v, *s = p->s, diagonal[PANEL];
    const NAME(right) c = {s + begin, NAME(COLUMNS), PANEL};
    const size_t rows = p->rows - p->first, n = p->width;
    for (size_t k = begin; k < end; k++)
        diagonal[k] = s[k * PANEL + k];
    for (size_t i = 0; i < rows && !NAME(pause)(p, i, thread); i += DEPTH) {
        const NAME(left) a = {v + i * n, 1, n};
        const NAME(right) b = {v + i * n + begin, NAME(COLUMNS), n};
        NAME(multiply)((NAME(product)){.rows = end,
                                       .columns = end - begin,
                                       .depth = size_min(rows - i, DEPTH),
                                       .a = a,
                                       .b = b,
                                       .c = c,
                                       .add = i > 0});
    }
    for (size_t k = begin; k < end; k++)
        s[k * PANEL + k] = diagonal[k];
}

/* Compute -T, the inverse of -S, from its last row up: row i of S times the rows of T below it. */
static void NAME(invert)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread)
{
    enum { GROUP = 6 * NAME(LANES) }; /* Six sums at a time hide the latency of one. */
    _Static_assert(PANEL % GROUP == 0, "whole groups");
    const REAL *s = p->s;
    REAL *t = p->t, *transposed = p->t_transposed;
    const size_t n = p->width;
    (void)begin, (void)end, (void)thread;

    memset(t, 0, n * PANEL * sizeof(REAL));
    for (size_t i = n; i-- > 0;) {
        const REAL *row = s + i * PANEL + i;
        const REAL factor = (REAL)(-1 / (double)*row);
        for (size_t j = i / GROUP * GROUP; j < n; j += GROUP) {
            REAL *to = t + i * PANEL + j;
            REAL *below = i + 1 < n ? to + PANEL : to;
            const NAME(product) tile = {.depth = n - 1 - i,
                                        .a = {row + 1, 0, 1},
                                        .b = {below, 0, PANEL},
                                        .c = {to, 0, PANEL}};
            NAME(tile)(1, 6, &tile);
            for (int k = 0; k < GROUP; k++)
                to[k] *= factor;
        }
        t[i * PANEL + i] = factor;
    }
    if (p->wide)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                transposed[j * PANEL + i] = t[i * PANEL + j];
}

/* Bring rows of V into the order of a right factor whose columns they are. */
static void NAME(transpose)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread)
{
    const REAL *v = p->v;
    REAL *to = p->v_transposed;
    const size_t n = p->width;
    (void)thread;
    for (size_t i = begin; i < end; i += NAME(COLUMNS))
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; j < NAME(COLUMNS); j++)
                to[i * n + k * NAME(COLUMNS) + j] = i + j < end ? v[(i + j) * n + k] : 0;
}

/* Compute columns of C += V (-T) V'C. */
static void NAME(apply_tall)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread,
                             REAL *pack, REAL *w, REAL *tw)
{
    const size_t n = p->width, rows = p->rows - p->first, columns = end - begin;
    const size_t padded = (columns + NAME(COLUMNS) - 1) / NAME(COLUMNS) * NAME(COLUMNS);
    const size_t stride = p->columns;
    REAL *v = p->v, *t = p->t, *signs = p->signs;
    REAL *out = (REAL *)p->out + p->first * stride + p->first + begin;
    const NAME(right) inner = {w, n * NAME(COLUMNS), NAME(COLUMNS)};
    const NAME(right) outer = {tw, n * NAME(COLUMNS), NAME(COLUMNS)};

    if (begin < n) { /* C = E D, so V'C needs no product. */
        memset(w, 0, n * padded * sizeof(REAL));
        for (size_t i = 0; i < rows; i++) {
            if (NAME(pause)(p, i, thread))
                return;
            memset(out + i * stride, 0, columns * sizeof(REAL));
        }
        for (size_t j = 0; j < columns; j++) {
            const size_t at = begin + j;
            out[at * stride + j] = signs[at];
            for (size_t k = 0; k <= at; k++)
                w[j / NAME(COLUMNS) * inner.group + k * NAME(COLUMNS) + j % NAME(COLUMNS)] =
                    v[at * n + k] * signs[at];
        }
    } else {
        for (size_t i = 0; i < n; i++)
            memset(out + i * stride, 0, columns * sizeof(REAL));
        const NAME(right) b = {pack, DEPTH * NAME(COLUMNS), NAME(COLUMNS)};
        for (size_t i = n; i < rows; i += DEPTH) {
            const size_t depth = size_min(rows - i, DEPTH);
            if (NAME(pause)(p, i - n, thread))
                return;
            for (size_t k = 0; k < depth; k++) {
                const REAL *from = out + (i + k) * stride;
                for (size_t j = 0; j < columns; j += NAME(COLUMNS)) {
                    REAL *to = pack + j * DEPTH + k * NAME(COLUMNS);
                    if (k + 4 < depth)
                        __builtin_prefetch(from + j + 4 * stride);
                    if (columns - j >= NAME(COLUMNS)) {
                        memcpy(to, from + j, NAME(COLUMNS) * sizeof(REAL));
                    } else {
                        memset(to, 0, NAME(COLUMNS) * sizeof(REAL));
                        memcpy(to, from + j, (columns - j) * sizeof(REAL));
                    }
                }
            }
            const NAME(left) a = {v + i * n, 1, n};
            NAME(multiply)((NAME(product)){.rows = n,
                                           .columns = padded,
                                           .depth = depth,
                                           .a = a,
                                           .b = b,
                                           .c = inner,
                                           .add = i > n});
        }
    }
    NAME(multiply)((NAME(product)){.rows = n,
                                   .columns = padded,
                                   .depth = n,
                                   .a = {t, PANEL, 1},
                                   .b = inner,
                                   .c = outer,
                                   .triangular = 1});
    for (size_t i = 0; i < rows && !NAME(pause)(p, i, thread); i += DEPTH) {
        const NAME(left) a = {v + i * n, n, 1};
        const NAME(right) c = {out + i * stride, NAME(COLUMNS), stride};
        NAME(multiply)((NAME(product)){.rows = size_min(rows - i, DEPTH),
                                       .columns = columns,
                                       .depth = n,
                                       .a = a,
                                       .b = outer,
                                       .c = c,
                                       .add = 1});
    }
}

/* Compute rows of the transpose, C' += (C'V) (-T') V'. */
static void NAME(apply_wide)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread,
                             REAL *w, REAL *tw)
{
    const size_t n = p->width, length = p->rows - p->first, count = end - begin;
    const size_t stride = p->rows;
    REAL *v = p->v, *signs = p->signs;
    REAL *out = (REAL *)p->out + (p->first + begin) * stride + p->first;
    const NAME(right) inner = {w, NAME(COLUMNS), PANEL}, outer = {tw, NAME(COLUMNS), PANEL};
    const size_t padded = (n + NAME(COLUMNS) - 1) / NAME(COLUMNS) * NAME(COLUMNS);

    for (size_t j = 0; j < count; j++) {
        REAL *row = out + j * stride;
        const size_t at = begin + j;
        if (NAME(pause)(p, 0, thread))
            return;
        memset(row, 0, (begin < n ? length : n) * sizeof(REAL));
        if (begin < n) {
            row[at] = signs[at];
            memset(w + j * PANEL, 0, padded * sizeof(REAL));
            for (size_t k = 0; k <= at; k++)
                w[j * PANEL + k] = v[at * n + k] * signs[at];
        }
    }
    for (size_t i = n; begin >= n && i < length; i += DEPTH) {
        const size_t depth = size_min(length - i, DEPTH);
        if (NAME(pause)(p, i - n, thread))
            return;
        const NAME(left) a = {out + i, stride, 1};
        const NAME(right) b = {v + i * n, NAME(COLUMNS), n};
        NAME(multiply)((NAME(product)){.rows = count,
                                       .columns = padded,
                                       .depth = depth,
                                       .a = a,
                                       .b = b,
                                       .c = inner,
                                       .add = i > n});
    }
    NAME(multiply)((NAME(product)){.rows = count,
                                   .columns = padded,
                                   .depth = n,
                                   .a = {w, PANEL, 1},
                                   .b = {p->t_transposed, NAME(COLUMNS), PANEL},
                                   .c = outer});
    REAL *v_transposed = p->v_transposed;
    for (size_t j = 0; j < length && !NAME(pause)(p, j, thread); j += TILE) {
        const NAME(right) b = {v_transposed + j * n, n * NAME(COLUMNS), NAME(COLUMNS)};
        const NAME(right) c = {out + j, NAME(COLUMNS), stride};
        NAME(multiply)((NAME(product)){.rows = count,
                                       .columns = size_min(length - j, TILE),
                                       .depth = n,
                                       .a = {tw, PANEL, 1},
                                       .b = b,
                                       .c = c,
                                       .add = 1});
    }
}

/* Apply the panel's reflectors to columns of Q.  The last panel multiplies them by the gain. */
static void NAME(apply)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread)
{
    REAL *pack = (REAL *)p->scratch + thread * HOUSEHOLDER_SCRATCH;
    REAL *w = pack + DEPTH * TILE, *tw = w + PANEL * TILE;
    if (p->wide)
        NAME(apply_wide)(p, begin, end, thread, w, tw);
    else
        NAME(apply_tall)(p, begin, end, thread, pack, w, tw);

    const REAL gain = (REAL)p->gain;
    if (p->first || gain == 1)
        return;
    const size_t rows = p->wide ? end - begin : p->rows, n = p->wide ? p->rows : end - begin;
    const size_t stride = p->wide ? p->rows : p->columns;
    REAL *out = (REAL *)p->out + (p->wide ? begin * stride : begin);
    for (size_t i = 0; i < rows && !NAME(pause)(p, p->wide ? 0 : i, thread); i++)
        for (size_t j = 0; j < n; j++)
            out[i * stride + j] *= gain;
}
