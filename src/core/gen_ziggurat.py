#!/usr/bin/env python3
"""Write ziggurat_tables.c: `python gen_ziggurat.py > ziggurat_tables.c`.

The modified Ziggurat of McFarland ("A modified ziggurat algorithm for generating exponentially and
normally distributed pseudorandom numbers", J. Stat. Comput. Simul. 86 (2016) 1281-1294), for the
densities f(x) = exp(-x^2/2) on [0, inf) and on [0, 2]:

* LAYERS names stand for equal shares of the whole area A under f.  The first K of them are
  rectangles [0, x_k] x [y_k, y_k+1] inscribed under the curve, f(x_k) = y_k+1, each of area
  A / LAYERS: a point in them needs no test.  The rest of the names are redrawn.  A name is also the
  end of the number that is multiplied by the edge, so that the values of a rectangle lie on a
  lattice that its name moves.  The names of the rectangles follow each other in steps of NAME_STEP
  from FIRST_NAME on, modulo LAYERS, without those that are redrawn: so those of similar edges lie
  far apart, and lattices of one edge fill each other's gaps.
* Of the rectangles that reach the truncation, every other has as its edge the next number below
  it.  With one edge that is a power of two all products would be exact, and the last bits of small
  values would be those of the names.  Step and first name were found by search: the last bits
  of the truncated normal of scale 1 are then 0 and 1 equally often.
* What the rectangles leave uncovered is drawn by rejection from regions, chosen by Walker's alias
  method in proportion to the area of their majorants: region k < K is right of rectangle k, region
  K the cap above all.  The majorant is the triangle
      (a, y0), (a + width, y0), (a, y0 + height)
  with the least height that covers the curve.  Region 0 of the normal is the tail beyond x_0, under
  the exponential f(x_0) exp(-x_0 (x - x_0)) (Marsaglia 1964).

Everything is computed to 45 decimal digits with the standard library alone, so that the tables are
the same on every machine.
"""

import math
from decimal import Context, Decimal, setcontext

LAYER_BITS = 10
LAYERS = 1 << LAYER_BITS
FIRST_NAME, NAME_STEP = 832, 543
ALIAS_BITS = 32 - LAYER_BITS  # of the word that is compared with the alias threshold

setcontext(Context(prec=45))
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def f(x):
    """Return the density without its constant."""
    return (-x * x / 2).exp()


def f_inverse(y):
    """Return the x >= 0 with f(x) = y."""
    return (-2 * y.ln()).sqrt()


def bisect(function, low, high):
    """Return the root in [low, high] of a function that is positive at low and not at high."""
    for _ in range(140):  # 2^-140 is below the last of 42 digits
        middle = (low + high) / 2
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return low


def area(limit):
    """Return the area under f on [0, limit], by the Taylor series of exp, integrated by terms."""
    if limit is None:
        return (PI / 2).sqrt()
    total, term, n = Decimal(0), limit, 0
    while abs(term) > Decimal(10) ** -44:
        total += term / (2 * n + 1)
        n += 1
        term *= -limit * limit / (2 * n)
    return total


def inscribe(limit):
    """Return right edges x_k and floors y_k of the rectangles, and the floor of the cap."""
    share = area(limit) / LAYERS
    edges, floors, y = [], [], Decimal(0)
    while True:
        right = edges[-1] if edges else (limit or Decimal(10))
        if limit and y + share / limit <= f(limit):  # below f(2) the area is a plain rectangle
            x = limit
        else:

            def excess(x, y=y):
                return x * (f(x) - y) - share

            # The rectangle's area has one maximum, where its derivative f - x^2 f - y changes sign.
            widest = bisect(
                lambda x, y=y: f(x) * (1 - x * x) - y, Decimal(0), min(right, Decimal(1))
            )
            if excess(widest) < 0:
                return edges, floors, y
            x = bisect(excess, widest, right)
        edges.append(x)
        floors.append(y)
        y += share / x


def height(a, width, y0):
    """Return the least h with y0 + h (1 - (x - a) / width) >= f(x) on [a, a + width)."""

    def needed(x):
        return (f(x) - y0) * width / (a + width - x)

    b = a + width
    at_b = b * f(b) * width  # the limit at b: where f is concave, the tangent there
    if a >= 1:
        return f(a) - y0  # convex: the chord
    if b <= 1:
        return at_b
    low, high = a, b  # across the inflection: one maximum, by ternary search
    for _ in range(150):
        third = (high - low) / 3
        if needed(low + third) < needed(high - third):
            low += third
        else:
            high -= third
    return needed(low)


def alias_table(weights):
    """Return Walker's alias table (by Vose): threshold << LAYER_BITS | alias, for each column."""
    one = 1 << ALIAS_BITS
    total = sum(weights)
    share = [w * LAYERS * one / total for w in weights]
    small = [i for i, s in enumerate(share) if s < one]
    large = [i for i, s in enumerate(share) if s >= one]
    table = [(one - 1) << LAYER_BITS | i for i in range(LAYERS)]  # a full column is its own alias
    while small and large:
        i, j = small.pop(), large[-1]
        table[i] = int(share[i].to_integral_value()) << LAYER_BITS | j
        share[j] -= one - share[i]
        if share[j] < one:
            small.append(large.pop())
    return table


def names(k):
    """Return the names of the rectangles 0 ... k - 1."""
    steps = ((FIRST_NAME + NAME_STEP * i) % LAYERS for i in range(LAYERS))
    return [name for name in steps if name < k]


def by_name(edges, limit, one, below):
    """Return the edges in the order of the names, each rounded by `one` or by `below`."""
    rounded = [one(Decimal(0))] * LAYERS
    for k, (name, x) in enumerate(zip(names(len(edges)), edges, strict=True)):
        rounded[name] = below(x) if x == limit and k % 2 else one(x)
    return rounded


def ziggurat(limit):
    """Return all numbers of one table; limit is None for the normal."""
    edges, floors, cap = inscribe(limit)
    k = len(edges)
    zero = Decimal(0)
    a, width, y0, h, weight = ([zero] * LAYERS for _ in range(5))
    for i in range(k + 1):
        a[i] = edges[i] if i < k else zero
        y0[i] = floors[i] if i < k else cap
        if i == 0 and limit is None:
            weight[0] = f(a[0]) / a[0]
            continue
        if a[i] == limit:
            continue  # the rectangle reaches the truncation: nothing is left beside it
        width[i] = f_inverse(y0[i]) - a[i]
        h[i] = height(a[i], width[i], y0[i])
        weight[i] = width[i] * h[i] / 2
    return {
        "inscribed": k,
        "tails": 1 if limit is None else 0,
        "x0": edges[0],
        "limit": limit,
        "edge": edges,
        "a": a,
        "width": width,
        "y0": y0,
        "height": h,
        "alias": alias_table(weight),
    }


def double(x, up=False):
    """Round x once to binary64 (float() of a Decimal is correctly rounded)."""
    value = float(x)
    if up and Decimal(value) < x:
        value = math.nextafter(value, math.inf)
    return value.hex()


def double_below(x):
    """Return the binary64 number below x, which is one itself."""
    return math.nextafter(float(x), 0).hex()


def single(x, below=0):
    """Round x once to binary32, from the exact value; or return one that many units below it."""
    if not x:
        return "0x0p+0f"
    exponent = 0
    while x < 1 << 23:
        x, exponent = x * 2, exponent - 1
    while x >= 1 << 24:
        x, exponent = x / 2, exponent + 1
    return ((int(x.to_integral_value()) - below / 2) * 2.0**exponent).hex() + "f"


def edge_f32(x):
    """Return an edge as what a signed 32-bit integer is multiplied by."""
    return single(x / (1 << 31))


def edge_f32_below(x):
    """Return the number below it, where x is a power of two."""
    return single(x / (1 << 31), below=1)


def rows(values):
    """Return numbers as lines of C."""
    lines, line = [], "       "
    for value in values:
        if len(line) + len(value) + 2 > 100:
            lines.append(line)
            line = "       "
        line += f" {value},"
    return "\n".join([*lines, line])


def c_struct(name, z):
    """Return one table as C."""
    inverse = 1 / z["x0"] if z["limit"] is None else Decimal(0)
    fields = [
        ("edge_f32", by_name(z["edge"], z["limit"], edge_f32, edge_f32_below)),
        ("edge_f64", by_name(z["edge"], z["limit"], double, double_below)),
        ("alias", [hex(x) for x in z["alias"]]),
    ]
    body = "".join(f"    .{field} = {{\n{rows(values)}\n    }},\n" for field, values in fields)
    regions = zip(z["a"], z["width"], z["y0"], z["height"], strict=True)
    body += (
        "    .region = {\n"
        + "".join(
            f"        {{{double(a)}, {double(width)}, {double(y0)}, {double(height, up=True)}}},\n"
            for a, width, y0, height in regions
        )
        + "    },\n"
    )
    limit = "INFINITY" if z["limit"] is None else double(z["limit"])
    return (
        f"const fastinit_ziggurat {name} = {{\n"
        f"    .inscribed = {z['inscribed']},\n    .tails = {z['tails']},\n    .limit = {limit},\n"
        f"    .x0 = {double(z['x0'])},\n    .inverse_x0 = {double(inverse)},\n{body}}};\n"
    )


def main():
    """Print the whole file."""
    print("/* GENERATED by gen_ziggurat.py, which says what the numbers are; a test compares. */")
    print("/* clang-format off */")
    print("#include <math.h>\n")
    print('#include "ziggurat.h"\n')
    print(c_struct("fastinit_ziggurat_normal", ziggurat(None)))
    print(c_struct("fastinit_ziggurat_truncated", ziggurat(Decimal(2))), end="")


if __name__ == "__main__":
    main()
