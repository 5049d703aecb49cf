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
BITS, UNIFORM, NORMAL, TRUNCATED, ORTHOGONAL, BETWEEN = range(6)
TAGS = {
    "bits": BITS,
    "uniform": UNIFORM,
    "normal": NORMAL,
    "truncated": TRUNCATED,
    "between": BETWEEN,
}
LAYERS = 1024
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


def word_3(tag, width):
    """Return counter word 3: 64-bit samples have tags of their own, but for raw bits."""
    return tag + 16 if width == 64 and tag != BITS else tag


def _of_block(width, words, i):
    if width == 32:
        return words[i % 4]
    return words[2 * (i % 2)] | words[2 * (i % 2) + 1] << 32


def sample(tag, width, seed, i):
    """Return the first attempt's 32 or 64 bits for element i."""
    return _of_block(width, block(word_3(tag, width), seed, i * width // 128), i)


def keyed_block(tag, width, seed, key, column, attempt=0):
    """Return the block of a row with a key: its counter has the key as its position."""
    return philox(
        (key & WORD, key >> 32, column, word_3(tag, width) + 32 + 256 * attempt),
        (seed & WORD, seed >> 32),
    )


def keyed_sample(tag, width, seed, key, column):
    """Return the first attempt's 32 or 64 bits for one column of the row."""
    return _of_block(width, keyed_block(tag, width, seed, key, column * width // 128), column)


def samples(tag, width, seed, start, n):
    """Return the same for n elements at once, to look for those that need a second attempt."""
    per = 128 // width
    first = start // per
    positions = np.arange((start + n - 1) // per + 1 - first, dtype=np.uint64) + np.uint64(first)
    words = np.stack(block(word_3(tag, width), seed, positions), axis=1)
    words = words.reshape(-1, per, 32 * 4 // width)
    words = words.reshape(-1) if width == 32 else words[..., 0] | words[..., 1] << 32
    return words.reshape(-1)[start % per :][:n]


def keyed_samples(tag, width, seed, keys, dim):
    """Return the same for the rows of an array of keys, as an array of rows."""
    per = 128 // width
    columns = np.arange((dim + per - 1) // per, dtype=np.uint64)
    words = np.stack(keyed_block(tag, width, seed, keys[:, None], columns), axis=-1)
    words = words if width == 32 else words[..., 0::2] | words[..., 1::2] << 32
    return words.reshape(keys.size, -1)[:, :dim]


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
            np.float32(float.fromhex(x.rstrip("f")))
            for x in gen_ziggurat.by_name(
                z["edge"], z["limit"], gen_ziggurat.edge_f32, gen_ziggurat.edge_f32_below
            )
        ],
        edge_f64=[
            float.fromhex(x)
            for x in gen_ziggurat.by_name(
                z["edge"], z["limit"], gen_ziggurat.double, gen_ziggurat.double_below
            )
        ],
        alias=z["alias"],
        a=binary64("a"),
        width=binary64("width"),
        y0=binary64("y0"),
        height=binary64("height", up=True),
    )


def bits_of(x, low, high):
    """Return bits low ... high of x."""
    return x >> low & (1 << high - low + 1) - 1


def layer_of(width, word):
    """Return the layer that a first attempt's bits name, or an array of them of an array's."""
    if width == 64:
        return word % LAYERS
    return (word ^ (word >> 31) * WORD) % LAYERS


def first_attempt(tag, width, word):
    """Return z, or None if it is refused."""
    t = tables(tag)
    layer = layer_of(width, word)
    if layer >= t.inscribed:
        return None
    if width == 32:
        s = word | 1
        s -= 2**32 if s >= 2**31 else 0
        return np.float32(s) * t.edge_f32[layer]
    z = (2 * bits_of(word, 12, 63) + 1) * 2.0**-53 * t.edge_f64[layer]
    return -z if bits_of(word, 11, 11) else z


INVERSE_LN_2 = float.fromhex("0x1.71547652b82fep+0")
LN_2 = float.fromhex("0x1.62e42fefa39efp-1")
LN_2_HIGH = float.fromhex("0x1.62e42feep-1")
LN_2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
TAYLOR = [1 / math.factorial(k) for k in range(14)]


def exp_minus(q):
    """Return exp(-q) by the steps of src/core/later_attempt.h."""
    n = float(round(q * INVERSE_LN_2))  # half to even, as the sum with 1.5 * 2^52
    r = n * LN_2_HIGH - q + n * LN_2_LOW
    r2 = r * r
    r4 = r2 * r2
    p = [TAYLOR[k] + r * TAYLOR[k + 1] for k in range(0, 14, 2)]
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


def uniforms(x1, x2, x3):
    """Return u and v of a later attempt."""
    u = (2 * (x1 * 2**20 + x3 % 2**20) + 1) * 2.0**-53
    v = (2 * (x2 * 2**20 + bits_of(x3, 20, 30) * 2**9) + 1) * 2.0**-53
    return u, v


def later_attempt(tag, x0, x1, x2, x3):
    """Return z and the region, or None and the region if it is refused."""
    t = tables(tag)
    region = x0 % LAYERS
    threshold, alias = divmod(t.alias[region], LAYERS)
    if x0 // LAYERS >= threshold:
        region = alias
    u, v = uniforms(x1, x2, x3)
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


def later_blocks(tag, width, seed, i):
    return (block(word_3(tag, width), seed, i, attempt) for attempt in count(1))


def variate(tag, width, seed, i, *bounds):
    """Return the standard variate of element i."""
    word, later = sample(tag, width, seed, i), later_blocks(tag, width, seed, i)
    if tag == BETWEEN:
        return draw_between(window(*bounds), width, word, later)
    return draw(tag, width, word, later)


def keyed_variate(tag, width, seed, key, column, *bounds):
    """Return the standard variate of one column of the row of a key."""
    word = keyed_sample(tag, width, seed, key, column)
    later = (keyed_block(tag, width, seed, key, column, attempt) for attempt in count(1))
    if tag == BETWEEN:
        return draw_between(window(*bounds), width, word, later)
    return draw(tag, width, word, later)


# Normals between bounds

NAMES_BETWEEN = 512


def _distance(slope, q):
    """Return t with exp(-t (slope + t / 2)) = exp(-q / 2)."""
    return q / (slope + math.sqrt(slope * slope + q))


@cache
def window(lower, upper):
    """Return the table of a window, each array in the order of the names."""
    if lower >= 0 or upper <= 0:
        start = lower if upper > 0 else upper
        sides = [(1, upper - lower) if upper > 0 else (-1, upper - lower)]
    else:
        start = 0.0
        sides = [(1, upper), (-1, -lower)]
    slope = abs(start)
    cut = _distance(slope, 13.862943611198906)
    ends = [min(far, cut) for _, far in sides]
    box = 0.0
    for end in ends:
        box += end
    tails = [(direction, far - cut) for direction, far in sides if far > cut]

    def width(floor, end):
        return min(_distance(slope, 2 * minus_log(floor)) if floor else end, end)

    def layers(area, end):
        """Return floor, width and ceiling of the layers of one side; None if there are too many."""
        found, y = [], 0.0
        while y < 1:
            if len(found) > NAMES_BETWEEN:
                return None
            wide = width(y, end)
            found.append((y, wide, y + area / wide))
            y = found[-1][2]
        return found

    def all_sides(steps):
        area = box * (steps / 2**14 / NAMES_BETWEEN)
        made = [layers(area, end) for end in ends]
        if None in made or sum(map(len, made)) + len(tails) > NAMES_BETWEEN:
            return area, None
        return area, made

    fails, works = 0, 2**15
    while works - fails > 1:
        middle = (works + fails) // 2
        fails, works = (fails, middle) if all_sides(middle)[1] else (middle, works)
    area, made = all_sides(works)

    t = SimpleNamespace(start=start, slope=slope, area=area, sides=made, tails=len(tails))
    t.width_f32 = [np.float32(0)] * NAMES_BETWEEN
    t.inner_f32 = [np.float32(0)] * NAMES_BETWEEN
    t.width_f64, t.inner_f64 = [0.0] * NAMES_BETWEEN, [0.0] * NAMES_BETWEEN
    t.layer = [(0.0, 2.0, 0.0, 0.0)] * NAMES_BETWEEN
    numbers = count()

    def name():
        return 317 * next(numbers) % NAMES_BETWEEN

    for (direction, _), end, side in zip(sides, ends, made, strict=True):
        for k, (floor, wide, ceiling) in enumerate(side):
            i = name()
            t.layer[i] = (direction * wide, floor, area / wide, 0.0)
            t.inner_f64[i] = width(ceiling, end) / wide if ceiling < 1 else 0.0
            t.inner_f32[i] = np.nextafter(np.float32(t.inner_f64[i] * 2**31), np.float32(0))
            t.width_f64[i] = direction * wide
            t.width_f32[i] = np.float32(direction * wide * 2.0**-31)
            if k % 2 and wide == end:
                t.width_f64[i] = math.nextafter(direction * wide, 0)
                t.width_f32[i] = np.nextafter(t.width_f32[i], np.float32(0))
    for direction, beyond in tails:
        rate = slope + cut
        t.layer[name()] = (direction * cut, 1 / rate, area * rate * 2**10, beyond)
    return t


def first_between(t, width, word):
    """Return z, or None if it is not accepted at once."""
    layer = word % NAMES_BETWEEN
    if width == 32:
        at = np.float32(word >> 1 | 1)
        if at >= t.inner_f32[layer]:
            return None
        return at * t.width_f32[layer] + np.float32(t.start)
    at = (2 * bits_of(word, 12, 63) + 1) * 2.0**-53
    return at * t.width_f64[layer] + t.start if at < t.inner_f64[layer] else None


def refused_between(t, width, words):
    """Return whether first_between() does not accept each of an array of words."""
    layer = words % NAMES_BETWEEN
    if width == 32:
        return (words >> 1 | 1).astype(np.float32) >= np.array(t.inner_f32)[layer]
    at = (2 * (words >> 12) + 1).astype(np.float64) * 2.0**-53
    return ~(at < np.array(t.inner_f64)[layer])


def later_between(t, width, word, x0, x1, x2, x3):
    """Return z, or None if it is refused; word has the first attempt's bits, in the second one."""
    at, v = u, v = uniforms(x1, x2, x3)
    if word is not None:
        x0 = word
        if width == 32:
            at = (word >> 1 | 1) * 2.0**-31
        else:
            at = (2 * bits_of(word, 12, 63) + 1) * 2.0**-53
    r = t.layer[x0 % NAMES_BETWEEN]
    if r[3] > 0:
        beyond = minus_log(u) * r[1]
        accepted = v * r[2] < exp_minus(beyond * (0 + beyond * 0.5)) and not r[3] < beyond
        move = r[0] + math.copysign(beyond, r[0])
    else:
        move = at * r[0]
        distance = abs(move)
        accepted = r[1] + v * r[2] < exp_minus(distance * (t.slope + distance * 0.5))
    return t.start + move if accepted else None


def draw_between(t, width, word, later):
    """Return the standard variate of a first attempt's bits and the blocks of the later ones."""
    z, attempts = first_between(t, width, word), 1
    while z is None:
        z = later_between(t, width, word if attempts == 1 else None, *next(later))
        attempts += 1
    return Draw(z, attempts, None)


# Values


def width_of(dtype):
    """Return how many bits a sample has."""
    return 64 if np.dtype(dtype).itemsize == 8 else 32


def _step(real, x, fits, towards):
    """Return x rounded to the type real, or its neighbour if the rounded one does not fit."""
    y = real(x)
    return y if fits(float(y)) else np.nextafter(y, real(towards))


HALVES = (np.float16, ml_dtypes.bfloat16)  # computed in float32, rounded by their own conversion


@cache
def _ends_of_uniform(result, minval, maxval):
    """Return the least and the greatest value of a dtype."""
    low = _step(result, minval, lambda y: y >= minval, math.inf)
    high = _step(result, maxval, lambda y: y < maxval, -math.inf)
    return (minval, minval) if minval == maxval else (min(low, high), high)


@cache
def _ends_of_truncated(result, mean, stddev, lower, upper):
    """Return the same of a normal distribution between bounds."""
    low, high = -math.inf, math.inf
    if lower > -math.inf:
        least = Fraction(mean) + Fraction(lower) * Fraction(stddev)
        low = _step(result, float(least), lambda y: y >= least, math.inf)
    if upper < math.inf:
        greatest = Fraction(mean) + Fraction(upper) * Fraction(stddev)
        high = _step(result, float(greatest), lambda y: y <= greatest, -math.inf)
    return (high, low) if low > high else (low, high)


def _held(value, low, high):
    value = value if value > low else low
    return value if value < high else high


def element(distribution, dtype, seed, i, *parameters):
    """Return element i of the array, as a NumPy scalar."""
    tag, width = TAGS[distribution], width_of(dtype)
    word, later = sample(tag, width, seed, i), later_blocks(tag, width, seed, i)
    return value_of(distribution, dtype, word, later, *parameters)


def keyed_element(distribution, dtype, seed, key, column, *parameters):
    """Return one column of the row of a key, as a NumPy scalar."""
    tag, width = TAGS[distribution], width_of(dtype)
    word = keyed_sample(tag, width, seed, key, column)
    later = (keyed_block(tag, width, seed, key, column, attempt) for attempt in count(1))
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
        if width == 32:
            u = real(word >> 1 | 1) * real(2.0**-31)
        else:
            u = real(word >> 11) * real(2.0**-53)
        low, high = map(real, _ends_of_uniform(result, minval, maxval))
        return result(_held(u * real(maxval - minval) + real(minval), low, high))
    mean, stddev, *bounds = parameters
    if tag == BETWEEN:
        z = draw_between(window(*bounds), width, word, later).z
    else:
        z = draw(tag, width, word, later).z
    value = real(z) * real(stddev) + real(mean)
    if tag in (TRUNCATED, BETWEEN):
        ends = _ends_of_truncated(result, mean, stddev, *(bounds or (-2, 2)))
        value = _held(value, *map(real, ends))
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
