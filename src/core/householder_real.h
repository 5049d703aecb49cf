/* The tasks of householder.c for one type: REAL, its VECTOR, NAME(function), OF(operation).
 * Included twice. */

enum {
    NAME(LANES) = sizeof(VECTOR) / sizeof(REAL),
    NAME(COLUMNS) = VECTORS * NAME(LANES), /* of a tile */
};

/* c = a b, or c += a b, for a tile of so many rows and vectors.  a by a stride for its rows and one
 * along the sum, b by rows of vectors.  Every element sums along depth in order, from what c holds
 * or from 0. */
VEC void NAME(tile)(int rows, int vectors, size_t depth, const REAL *a, size_t a_row, size_t a_step,
                    const REAL *b, size_t b_step, REAL *c, size_t c_row, int add)
{
    VECTOR sum[12][6], x[6];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            sum[i][j] = add ? OF(load)(c + (size_t)i * c_row + j * NAME(LANES)) : OF(set1)(0);
    }
    UNROLL_SOME
    for (size_t k = 0; k < depth; k++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            x[j] = OF(load)(b + k * b_step + j * NAME(LANES));
        UNROLL
        for (int i = 0; i < rows; i++) {
            VECTOR factor = OF(set1)(a[(size_t)i * a_row + k * a_step]);
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = OF(fma)(factor, x[j], sum[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            OF(store)(c + (size_t)i * c_row + j * NAME(LANES), sum[i][j]);
    }
}

/* The same for the last rows of a product. */
static void NAME(last_tile)(size_t rows, size_t depth, const REAL *a, size_t a_row, size_t a_step,
                            const REAL *b, size_t b_step, REAL *c, size_t c_row, int add)
{
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        if (n < ROWS)                                                                              \
            NAME(tile)(n < ROWS ? n : 1, VECTORS, depth, a, a_row, a_step, b, b_step, c, c_row,    \
                       add);                                                                       \
        break;
    switch (rows) {
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

static void NAME(full_tile)(size_t depth, const REAL *a, size_t a_row, size_t a_step, const REAL *b,
                            size_t b_step, REAL *c, size_t c_row, int add)
{
    NAME(tile)(ROWS, VECTORS, depth, a, a_row, a_step, b, b_step, c, c_row, add);
}

typedef struct {
    const REAL *at;
    size_t row, step;
} NAME(left);

/* Columns in groups of a tile's, group after group; within one by rows. */
typedef struct {
    REAL *at;
    size_t group, row;
} NAME(right);

/* c = a b, or c += a b.  Nothing outside of c is written; b is read up to a whole group of columns.
 * triangular: a is zero left of its diagonal, and those terms are left out: they would add zeros.
 *
 * A tile's rows of a stay in the nearest cache while b goes by; what is added to next is fetched
 * meanwhile.  Where rows of c lie a power of two apart, more of them would drive each other out. */
static void NAME(multiply)(size_t rows, size_t columns, size_t depth, NAME(left) a, NAME(right) b,
                           NAME(right) c, int add, int triangular)
{
    for (size_t i = 0; i < rows; i += ROWS) {
        const size_t skip = triangular ? i : 0, few = least(rows - i, ROWS);
        const size_t after = least(rows - i - few, ROWS);
        const REAL *from = a.at + i * a.row + skip * a.step;

        for (size_t j = 0; j < columns; j += NAME(COLUMNS)) {
            const size_t group = j / NAME(COLUMNS), some = columns - j;
            const REAL *by = b.at + group * b.group + skip * b.row;
            REAL *result = c.at + group * c.group + i * c.row, *to = result;
            REAL aside[12 * NAME(COLUMNS)];
            size_t to_row = c.row;

            if (some < NAME(COLUMNS)) {
                to = aside, to_row = NAME(COLUMNS);
                memset(aside, 0, sizeof aside);
                if (add)
                    for (size_t k = 0; k < few; k++)
                        memcpy(aside + k * to_row, result + k * c.row, some * sizeof(REAL));
            } else if (add) {
                for (size_t k = 0; k < after; k++)
                    __builtin_prefetch(result + (few + k) * c.row, 1);
            }
            if (few == ROWS)
                NAME(full_tile)(depth - skip, from, a.row, a.step, by, b.row, to, to_row, add);
            else
                NAME(last_tile)(few, depth - skip, from, a.row, a.step, by, b.row, to, to_row, add);
            if (to == aside)
                for (size_t k = 0; k < few; k++)
                    memcpy(result + k * c.row, aside + k * to_row, some * sizeof(REAL));
        }
    }
}

/* Whether the task is to end; asked at some of the rows alone, multiples of DEPTH. */
static int NAME(pause)(const fastinit_reflectors *p, size_t row, size_t thread)
{
    return row % DEPTH == 0 && p->stopped(p->watch, thread);
}

/* Normals to reflectors.  The norms in binary64: the squares of 64 rows added in order, the sums of
 * such blocks in pairs, and pairs of pairs. */
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
        /* One row: H = -1 whatever v is; with this one, exactly. */
        *head = rows - at == 1 ? 1 : (REAL)(x + signed_norm);
        double y = *head;
        s[at * PANEL + at] = rows - at == 1 ? (REAL)0.5 : (REAL)((norm - x * x + y * y) * 0.5);
    }
}

/* Columns of the strict upper triangle of S = V'V. */
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
        NAME(multiply)(end, end - begin, least(rows - i, DEPTH), a, b, c, i > 0, 0);
    }
    for (size_t k = begin; k < end; k++)
        s[k * PANEL + k] = diagonal[k];
}

/* -T, the inverse of -S, from its last row up: S's row i times T's rows below it. */
static void NAME(invert)(const fastinit_reflectors *p, size_t begin, size_t end, size_t thread)
{
    enum { GROUP = 6 * NAME(LANES) }; /* six sums at a time hide the latency of one */
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
            const REAL *below = i + 1 < n ? to + PANEL : to;
            NAME(tile)(1, 6, n - 1 - i, row + 1, 0, 1, below, PANEL, to, PANEL, 0);
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

/* Rows of V for the right side of a product: COLUMNS of them, and those by columns. */
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

/* columns of C += V (-T) V'C. */
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

    if (begin < n) { /* C = E D, and V'C needs no product */
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
            const size_t depth = least(rows - i, DEPTH);
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
            NAME(multiply)(n, padded, depth, a, b, inner, i > n, 0);
        }
    }
    const NAME(left) triangle = {t, PANEL, 1};
    NAME(multiply)(n, padded, n, triangle, inner, outer, 0, 1);
    for (size_t i = 0; i < rows && !NAME(pause)(p, i, thread); i += DEPTH) {
        const NAME(left) a = {v + i * n, n, 1};
        const NAME(right) c = {out + i * stride, NAME(COLUMNS), stride};
        NAME(multiply)(least(rows - i, DEPTH), columns, n, a, outer, c, 1, 0);
    }
}

/* The same of the transpose: C' += (C'V) (-T') V'. */
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
        const size_t depth = least(length - i, DEPTH);
        if (NAME(pause)(p, i - n, thread))
            return;
        const NAME(left) a = {out + i, stride, 1};
        const NAME(right) b = {v + i * n, NAME(COLUMNS), n};
        NAME(multiply)(count, padded, depth, a, b, inner, i > n, 0);
    }
    const NAME(left) a = {w, PANEL, 1};
    const NAME(right) triangle = {p->t_transposed, NAME(COLUMNS), PANEL};
    NAME(multiply)(count, padded, n, a, triangle, outer, 0, 0);
    const NAME(left) b = {tw, PANEL, 1};
    const NAME(right) transposed = {p->v_transposed, n * NAME(COLUMNS), NAME(COLUMNS)};
    const NAME(right) c = {out, NAME(COLUMNS), stride};
    for (size_t j = 0; j < length && !NAME(pause)(p, j, thread); j += TILE) {
        const NAME(right) by = {transposed.at + j * n, transposed.group, transposed.row};
        const NAME(right) to = {c.at + j, c.group, c.row};
        NAME(multiply)(count, least(length - j, TILE), n, b, by, to, 1, 0);
    }
}

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
    /* The last panel: these columns are done. */
    const size_t rows = p->wide ? end - begin : p->rows, n = p->wide ? p->rows : end - begin;
    const size_t stride = p->wide ? p->rows : p->columns;
    REAL *out = (REAL *)p->out + (p->wide ? begin * stride : begin);
    for (size_t i = 0; i < rows && !NAME(pause)(p, p->wide ? 0 : i, thread); i++)
        for (size_t j = 0; j < n; j++)
            out[i * stride + j] *= gain;
}
