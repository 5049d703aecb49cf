"""A second implementation of the stream of include/fastinit.h.

It makes one element after the other, in Python integers and scalars of IEEE arithmetic: slow,
and equal to the kernels in every bit.

The tables come from their generator, not from the C file that it writes.
"""

import importlib.util
import math
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import ml_dtypes
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BITS, UNIFORM, NORMAL, TRUNCATED, ORTHOGONAL = range(5)
TAGS = {"bits": BITS, "uniform": UNIFORM, "normal": NORMAL, "truncated": TRUNCATED}
NAMES = {tag: distribution for distribution, tag in TAGS.items()}
WORD = 2**32 - 1


def _generator():
    path = ROOT / "src" / "core" / "gen_ziggurat.py"
    spec = importlib.util.spec_from_file_location("gen_ziggurat", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gen_ziggurat = _generator()
ziggurat = cache(gen_ziggurat.ziggurat)  # some 2 s each


# Words


def philox(counter, key):
    """Return Philox4x32-10 of four words and two, or of uint64 arrays of words, elementwise."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & WORD, (a >> 32) ^ c3 ^ k1, a & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def block(tag, seed, position, attempt=0):
    return philox((position & WORD, position >> 32, attempt, tag), (seed & WORD, seed >> 32))


def sample(tag, width, seed, i):
    """Return the first attempt's 32 or 64 bits for element i."""
    if width == 32:
        return block(tag, seed, i // 4)[i % 4]
    words = block(tag, seed, i // 2)
    return words[2 * (i % 2)] | words[2 * (i % 2) + 1] << 32


def samples(tag, width, seed, start, n):
    """Return the same for n elements at once, to look for those that need a second attempt."""
    per = 128 // width
    first = start // per
    positions = np.arange((start + n - 1) // per + 1 - first, dtype=np.uint64) + np.uint64(first)
    words = np.stack(block(tag, seed, positions), axis=1).reshape(-1, per, 32 * 4 // width)
    words = words.reshape(-1) if width == 32 else words[..., 0] | words[..., 1] << 32
    return words.reshape(-1)[start % per :][:n]


# Standard variates


class Draw(NamedTuple):
    z: float
    attempts: int
    region: int | None  # of the accepted attempt, None if that was the first


@cache
def tables(tag):
    truncated = tag == TRUNCATED
    z = ziggurat(Decimal(2) if truncated else None)

    def binary64(name, up=False):
        return [float.fromhex(gen_ziggurat.double(x, up)) for x in z[name]]

    return SimpleNamespace(
        inscribed=z["inscribed"],
        has_tail=not truncated,
        limit=2.0 if truncated else math.inf,
        x0=float(z["x0"]),
        inverse_x0=float(1 / z["x0"]),
        edge_f32=[
            np.float32(float.fromhex(gen_ziggurat.single(x / 2**24).rstrip("f"))) for x in z["edge"]
        ],
        edge_f64=binary64("edge"),
        alias=z["alias"],
        a=binary64("a"),
        width=binary64("width"),
        y0=binary64("y0"),
        height=binary64("height", up=True),
    )


def bits_of(x, low, high):
    """Return bits low ... high of x."""
    return x >> low & (1 << high - low + 1) - 1


def first_attempt(tag, width, word):
    """Return z, or None if it is refused."""
    t = tables(tag)
    layer = word % 256
    if layer >= t.inscribed:
        return None
    if width == 32:
        s = bits_of(word, 8, 31)
        s -= 2**24 if s >= 2**23 else 0
        return np.float32(2 * s + 1) * t.edge_f32[layer]
    z = (2 * bits_of(word, 12, 63) + 1) * 2.0**-53 * t.edge_f64[layer]
    return -z if bits_of(word, 11, 11) else z


INVERSE_LN_2 = float.fromhex("0x1.71547652b82fep+0")
LN_2 = float.fromhex("0x1.62e42fefa39efp-1")
LN_2_HIGH = float.fromhex("0x1.62e42feep-1")
LN_2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")


def exp_minus(q):
    """Return exp(-q) by the steps of src/core/later_attempt.h."""
    n = float(round(q * INVERSE_LN_2))  # half to even, as the sum with 1.5 * 2^52
    r = n * LN_2_HIGH - q + n * LN_2_LOW
    r2 = r * r
    r4 = r2 * r2
    p = [1 / math.factorial(k) + r * (1 / math.factorial(k + 1)) for k in range(0, 14, 2)]
    q = [p[k] + r2 * p[k + 1] for k in (0, 2, 4)]
    return (q[0] + r4 * q[1] + r4 * r4 * (q[2] + r4 * p[6])) * 2.0**-n


def minus_log(u):
    """Return -log(u) by the steps of src/core/later_attempt.h."""
    m, exponent = math.frexp(u)
    if m < SQRT_HALF:
        m, exponent = 2 * m, exponent - 1
    s = (m - 1) / (m + 1)
    p = 1 / 21
    for k in range(19, 0, -2):
        p = p * (s * s) + 1 / k
    return -exponent * LN_2 - (s + s) * p


def later_attempt(tag, x0, x1, x2, x3):
    """Return z and the region, or None and the region if it is refused."""
    t = tables(tag)
    region = x0 % 256
    threshold, alias = divmod(t.alias[region], 256)
    if x0 >> 8 >= threshold:
        region = alias
    u = (2 * (x1 * 2**20 + x3 % 2**20) + 1) * 2.0**-53
    v = (2 * (x2 * 2**20 + bits_of(x3, 20, 30) * 2**9) + 1) * 2.0**-53
    if t.has_tail and region == 0:
        argument = minus_log(u) * t.inverse_x0
        z, y = t.x0 + argument, v
    else:
        if not u + v < 1:
            u, v = 1 - u, 1 - v
        z = argument = t.a[region] + u * t.width[region]
        y = t.y0[region] + v * t.height[region]
    if not (y < exp_minus(argument * argument * 0.5) and z <= t.limit):
        return None, region
    return -z if bits_of(x3, 31, 31) else z, region


def draw(tag, width, word, later):
    """Return the standard variate of a first attempt's bits and the blocks of the later ones."""
    z, region, attempts = first_attempt(tag, width, word), None, 1
    while z is None:
        z, region = later_attempt(tag, *next(later))
        attempts += 1
    return Draw(z, attempts, region)


def later_blocks(tag, seed, i):
    return (block(tag, seed, i, attempt) for attempt in count(1))


def variate(tag, width, seed, i):
    """Return the standard variate of element i."""
    return draw(tag, width, sample(tag, width, seed, i), later_blocks(tag, seed, i))


# Values


def width_of(dtype):
    """Return how many bits a sample has."""
    return 64 if np.dtype(dtype).itemsize == 8 else 32


def _step(real, x, fits, towards):
    """Return x rounded to the type real, or its neighbour if the rounded one does not fit."""
    y = real(x)
    return y if fits(float(y)) else np.nextafter(y, real(towards))


HALVES = (np.float16, ml_dtypes.bfloat16)  # computed in float32, rounded by their own conversion


def _held(value, low, high):
    value = value if value > low else low
    return value if value < high else high


def element(distribution, dtype, seed, i, *parameters):
    """Return element i of the array, as a NumPy scalar."""
    tag, width = TAGS[distribution], width_of(dtype)
    word, later = sample(tag, width, seed, i), later_blocks(tag, seed, i)
    return value_of(distribution, dtype, word, later, *parameters)


def value_of(distribution, dtype, word, later, *parameters):
    """Return the element of a first attempt's bits and the blocks of the later ones."""
    result = np.dtype(dtype).type
    tag, width = TAGS[distribution], width_of(dtype)
    real = np.float32 if result in HALVES else result
    if tag == BITS:
        return real(word)
    if tag == UNIFORM:
        minval, maxval = parameters
        digits = 24 if width == 32 else 53
        u = real(word >> width - digits) * real(2.0**-digits)
        low = _step(result, minval, lambda y: y >= minval, math.inf)
        high = _step(result, maxval, lambda y: y < maxval, -math.inf)
        low, high = real(min(low, high)), real(high)
        if minval == maxval:
            low = high = real(minval)
        return result(_held(u * real(maxval - minval) + real(minval), low, high))
    mean, stddev = parameters
    value = real(draw(tag, width, word, later).z) * real(stddev) + real(mean)
    if tag == TRUNCATED:
        least = Fraction(mean) - 2 * Fraction(stddev)
        greatest = Fraction(mean) + 2 * Fraction(stddev)
        low = real(_step(result, float(least), lambda y: y >= least, math.inf))
        high = real(_step(result, float(greatest), lambda y: y <= greatest, -math.inf))
        value = _held(value, min(low, real(mean)), max(high, real(mean)))
    return result(value)


# Orthogonal matrices


def _two_sum(a, b):
    """Return a + b rounded, and what is missing (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _odd_sum(a, b):
    """Return a + b rounded to odd: where it is not exact, the neighbour whose last bit is 1."""
    s, missing = _two_sum(a, b)
    even = (s.view(np.int64) & 1) == 0
    towards = np.where(missing > 0, np.inf, -np.inf)
    return np.where((missing != 0) & even, np.nextafter(s, towards), s)


def fma(a, b, c):
    """Return a * b + c of arrays, rounded once.

    Boldo & Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
    rounding to odd", IEEE Trans. Comput. 57 (2008) 462-471: what is rounded to odd with enough
    bits more can be rounded again.
    """
    a, b, c = np.broadcast_arrays(a, b, c)
    if a.dtype == np.float32:
        a, b, c = (x.astype(np.float64) for x in (a, b, c))
        return _odd_sum(a * b, c).astype(np.float32)  # the product is exact
    high = []
    for x in (a, b):  # Veltkamp's halves, Dekker's product
        t = x * 134217729.0
        h = t - (t - x)
        high += [h, x - h]
    product = a * b
    rest = ((high[0] * high[2] - product) + high[0] * high[3] + high[1] * high[2]) + (
        high[1] * high[3]
    )
    low_sum, low_missing = _two_sum(rest, c)
    total, missing = _two_sum(product, low_sum)
    return total + _odd_sum(missing, low_missing)


def _product(start, a, b):
    """Return start + a b by fused multiply-adds, along the sum in order."""
    for k in range(a.shape[1]):
        start = fma(a[:, k, None], b[None, k], start)
    return start


def _tree(columns):
    """Sum columns: 64 rows in order, then pairs, pairs of pairs, and so on."""
    level, blocks = {}, 0
    for i in range(0, len(columns), 64):
        total = np.zeros(columns.shape[1])
        for row in columns[i : i + 64]:
            total = total + row
        up = 0
        while blocks >> up & 1:
            total = level[up] + total
            up += 1
        level[up] = total
        blocks += 1
    total = np.zeros(columns.shape[1])
    for up in range(blocks.bit_length()):
        if blocks >> up & 1:
            total = level[up] + total
    return total


PANEL = 96


def normals(dtype, seed, rows, columns, matrix=0):
    """Return the normals of one matrix, rows >= columns, each in its place."""
    dtype = np.dtype(dtype)
    x = np.zeros((rows, columns), dtype)
    for first in range(0, columns, PANEL):
        width = min(PANEL, columns - first)
        start = matrix * rows * columns + first * rows
        for i in range(first, rows):
            for k in range(min(width, i - first + 1)):
                z = variate(ORTHOGONAL, 8 * dtype.itemsize, seed, start + i * width + k).z
                x[i, first + k] = dtype.type(z)
    return x


def orthogonal(dtype, seed, rows, columns, gain=1.0, matrix=0):
    """Return one matrix, right to the last bit."""
    if np.dtype(dtype).itemsize == 2:
        return orthogonal("float32", seed, rows, columns, gain, matrix).astype(dtype)
    if rows < columns:
        return orthogonal(dtype, seed, columns, rows, gain, matrix).T
    real = np.dtype(dtype).type
    c = np.zeros((rows, columns), dtype)
    x = normals(dtype, seed, rows, columns, matrix)
    for first in reversed(range(0, columns, PANEL)):
        v = x[first:, first : first + PANEL].copy()
        length, width = v.shape
        norm2 = _tree(v.astype(float) ** 2)
        d = np.zeros(width, dtype)
        s = np.zeros((width, width), dtype)
        for k in range(width):
            head = float(v[k, k])
            d[k] = -1 if head > 0 else 1
            v[k, k] = real(head - float(d[k]) * math.sqrt(norm2[k]))
            s[k, k] = real((norm2[k] - head * head + float(v[k, k]) ** 2) * 0.5)
            if length - k == 1:
                v[k, k], s[k, k] = 1, 0.5
        diagonal = np.diag(s).copy()
        s = np.triu(_product(np.zeros_like(s), v.T, v), 1)
        n = np.zeros_like(s)
        for i in reversed(range(width)):
            n[i, i] = real(-1 / float(diagonal[i]))
            n[i, i + 1 :] = n[i, i] * _product(
                np.zeros((1, width - i - 1), dtype), s[i : i + 1, i + 1 :], n[i + 1 :, i + 1 :]
            )
        c[first : first + width, first:] = 0
        c[first:, first : first + width] = 0
        for k in range(width):
            c[first + k, first + k] = d[k]
        own = np.triu(v[:width].T) * d
        rest = v[width:].T, c[first + width :, first + width :]
        rest = _product(np.zeros((width, columns - first - width), dtype), *rest)
        u = _product(np.zeros((width, columns - first), dtype), n, np.hstack([own, rest]))
        c[first:, first:] = _product(c[first:, first:], v, u)
    return c if gain == 1 else c * real(gain)


def stewart(x):
    """Return a matrix by Stewart's paper, one reflector after the other, in binary64."""
    rows, columns = x.shape
    q = np.eye(rows, columns)
    for k in reversed(range(columns)):
        v = x[k:, k].astype(float)
        sign = 1 if v[0] > 0 else -1
        v[0] += sign * np.linalg.norm(v)
        q[:, k] *= -sign
        q[k:] -= np.outer(v, 2 / (v @ v) * (v @ q[k:]))
    return q


def haar_by_factorization(rng, n):
    """Return a Haar matrix by LAPACK's QR of normals, with the diagonal of R made positive.

    Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the
    AMS 54 (2007) 592-604.
    """
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diagonal(r))
