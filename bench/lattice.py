"""Compare the values that float32 normals can take, and write bench/lattice.md.

    python bench/lattice.py                 make the whole report, in 10 minutes on two cores
    python bench/lattice.py --only between  make the rows of this group, and keep the others
    python bench/lattice.py --halve 6       try it with 2^6 times fewer samples, and only print it

A generator that makes a normal of one 32-bit word reaches nothing but the points of a lattice. This
script counts what that does to fastinit's normals, beside NumPy's (Ziggurat), torch's (Box-Muller)
and float64 normals that are rounded to float32.
"""

import argparse
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist

import numpy as np
from report import machine, table

from fastinit import initializers

try:
    import torch
except ImportError:
    torch = None

COMMAND = ".venv/bin/pip install . torch && .venv/bin/python bench/lattice.py"
REPORT = Path(__file__).with_suffix(".md")
SEED = 1
THREADS = 2
PART = 2**20  # samples that are drawn at once: 4 MiB, for the caches
NEAR = 2.0**-10  # "near 0" is nearer than that
BAND = 2.0**-6  # "near a bound" is nearer than that
BITS = 12  # the last bits of a float32 that are looked at
BINADES = range(-10, 3)  # those of the last bits: [2^-10, 2^-9) ... [4, 8)
FINEST, COARSEST = -40, 3  # different values are told apart from 2^-40 to 2^3
SEEN = (COARSEST - FINEST) << 24  # float32 values there, of both signs
HALVES = {"float16": (10, -12), "bfloat16": (7, -18)}  # bits of the fraction, binade


@dataclass(frozen=True)
class Window:
    """The standard normal between two bounds, and the number of samples for each question."""

    name: str
    group: str
    lower: float = -math.inf
    upper: float = math.inf
    near: int = 0
    distinct: tuple[int, ...] = ()
    bits: int = 0

    @property
    def mass(self):
        """Return the share of all normals that lies in the window."""
        return NormalDist().cdf(self.upper) - NormalDist().cdf(self.lower)

    @property
    def bounds(self):
        """Return the bounds, without 0 and infinities."""
        return [bound for bound in (self.lower, self.upper) if math.isfinite(bound) and bound]

    def sides(self, low, high):
        """Return where low <= |x| < high, as an interval of |x| for each sign that occurs."""
        signs = (self.lower, self.upper), (-self.upper, -self.lower)
        cut = [(max(low, lower), min(high, upper)) for lower, upper in signs]
        return [(a, b) for a, b in cut if a < b]

    def probability(self, low, high):
        """Return P(low <= |x| < high)."""
        cdf = NormalDist().cdf
        return sum(cdf(b) - cdf(a) for a, b in self.sides(low, high)) / self.mass

    def density(self, x):
        return np.exp(-x * x / 2) / math.sqrt(2 * math.pi) / self.mass

    def halved(self, times):
        """Return the window with 2^times fewer samples."""
        distinct = tuple(n >> times for n in self.distinct)
        return replace(self, near=self.near >> times, distinct=distinct, bits=self.bits >> times)


LARGE = 2**32, (2**26, 2**28, 2**30), 2**30
WINDOWS = [
    Window("normal", "normal", -math.inf, math.inf, *LARGE),
    Window("truncated (-2, 2)", "truncated", -2.0, 2.0, *LARGE),
    Window("between (-0.5, 2.5)", "between", -0.5, 2.5, bits=2**26),
    Window("between (-1, 1)", "between", -1.0, 1.0, bits=2**26),
    Window("between (-3, 3)", "between", -3.0, 3.0, bits=2**26),
    Window("between (0, inf)", "between", 0.0, math.inf, bits=2**26),
    Window("between (1, 2)", "between", 1.0, 2.0, bits=2**26),
    Window("uniform [0, 1)", "uniform", near=2**32),  # no normal, but float16 uniforms
]
GROUPS = list(dict.fromkeys(window.group for window in WINDOWS))


# The samplers.  Each returns part i of the samples of a window, some PART of them: a function of
# SEED and i.


@cache
def lazy(window):
    shape = (2**40,)
    if window.group == "uniform":
        return initializers.RandomUniform(0.0, 1.0, seed=SEED).lazy(shape, dtype="float16")
    if window.group == "normal":
        return initializers.RandomNormal(0.0, 1.0, seed=SEED).lazy(shape)
    bounds = {"lower": window.lower, "upper": window.upper}
    return initializers.TruncatedNormal(0.0, 1.0, seed=SEED, **bounds).lazy(shape)


def fastinit_part(window, i):
    return lazy(window)[i * PART : (i + 1) * PART]


def part_of(normal, uniform):
    """Return a sampler that draws normals, and keeps those within the window."""

    def part(window, i):
        if window.group == "uniform":
            return uniform(i, PART)
        z = normal(i, round(PART / window.mass))
        return z if window.mass == 1 else z[(z >= window.lower) & (z <= window.upper)]

    return part


def philox(seed, i):
    return np.random.Generator(np.random.Philox(key=seed + (i << 64)))


def mersenne(i):
    return torch.Generator().manual_seed(SEED + i)


SAMPLERS = {
    "fastinit": fastinit_part,
    "NumPy": part_of(
        lambda i, n: philox(SEED, i).standard_normal(n, np.float32),
        lambda i, n: philox(SEED, i).random(n, np.float32).astype(np.float16),
    ),
    "torch": part_of(
        lambda i, n: torch.randn(n, generator=mersenne(i)).numpy(),
        lambda i, n: torch.rand(n, generator=mersenne(i), dtype=torch.float16).numpy(),
    ),
    # It has another seed, since it would otherwise share the words of NumPy's float32.
    "float64, rounded": part_of(
        lambda i, n: philox(SEED + 1, i).standard_normal(n).astype(np.float32),
        lambda i, n: philox(SEED + 1, i).random(n).astype(np.float16),
    ),
}


# Counting.


@dataclass
class Counts:
    """What was found among the samples of a window."""

    near_n: int = 0  # the samples that `near` was taken from
    near: list = field(default_factory=list)  # |z| below NEAR, or what halves_of returns
    distinct: list = field(default_factory=list)  # pairs: samples, different values among them
    last: np.ndarray | int = 0  # row: binade or bound; column: the last bits, as a number


def bits_of(magnitude):
    """Return the bits of a float32."""
    return int(np.float32(magnitude).view(np.int32))


def mark(z, seen):
    """Mark the values of z as seen."""
    index = np.abs(z).view(np.int32) - bits_of(2.0**FINEST)
    # All that is nearer to 0 counts as one value: zeros, and less than one other in 2^30 samples.
    np.clip(index, 0, (SEEN >> 1) - 1, out=index)
    index <<= 1
    index |= np.signbit(z)
    seen[index] = True


def last_bits(z, window):
    """Return how often each combination of last bits occurs in each binade and near each bound."""
    bits = np.abs(z).view(np.int32)
    row = (bits >> 23) - (bits_of(2.0 ** BINADES[0]) >> 23) + 1
    rows = len(BINADES) + 2  # with one below and one above, which are dropped
    np.clip(row, 0, rows - 1, out=row)
    row <<= BITS
    bits &= (1 << BITS) - 1
    found = [np.bincount(row | bits, minlength=rows << BITS).reshape(rows, -1)[1:-1]]
    for bound in window.bounds:
        near = bits[(z >= bound - BAND) & (z < bound + BAND)]
        found.append(np.bincount(near, minlength=1 << BITS)[None])
    return np.concatenate(found)


def halves_of(z):
    """Return the ten last bits of the float16 in [2^-12, 2^-11)."""
    bits = z.view(np.uint16)
    return bits[bits >> 10 == 3] & 0x3FF


def examine(sampler, window, seen, i):
    """Draw part i, and return its number of samples, those near 0, and their last bits."""
    z = sampler(window, i)
    if window.group == "uniform":
        return z.size, halves_of(z), 0
    near, last, first = None, 0, i * PART
    if first < window.near:
        magnitude = np.abs(z)
        near = magnitude[magnitude < NEAR]
    if first < max(window.distinct, default=0):
        mark(z, seen)
    if first < window.bits:
        last = last_bits(z, window)
    return z.size, near, last


def count(sampler, window, pool):
    """Draw all samples of a window, and count."""
    counts = Counts()
    seen = np.zeros(SEEN if window.distinct else 0, bool)
    start = n = 0
    for stop in sorted({window.near, *window.distinct, window.bits} - {0}):
        parts = range(start // PART, stop // PART)
        for size, near, last in pool.map(partial(examine, sampler, window, seen), parts):
            n += size
            if near is not None:
                counts.near_n = n
                counts.near.append(near)
            counts.last = counts.last + last
        if stop in window.distinct:
            counts.distinct.append((n, np.count_nonzero(seen)))
        start = stop
    return counts


# What exact normals give when they are rounded to float32.


def occupied(window, n, low, high, folded=False):
    """Return how many float32 with low <= |x| < high n samples take, and its standard deviation.

    It is the sum of 1 - (1 - p)^n over these float32; if folded, over their magnitudes, for which
    the window must hold both signs or one.  Each binade is cut into 4096 blocks; p is the width of
    a float32's cell times the density in the middle of its block.
    """
    taken = variance = shared = 0.0
    sides = window.sides(low, high)
    for a, b in sides[:1] if folded else sides:
        for binade in range(FINEST, COARSEST):
            width = 2.0 ** (binade - 23)
            edges = np.clip(2.0**binade * np.linspace(1, 2, 4097), a, b)
            cells = np.diff(edges) / width
            p = width * window.density((edges[1:] + edges[:-1]) / 2) * (len(sides) if folded else 1)
            free = np.exp(n * np.log1p(-p))
            taken += np.sum(cells * (1 - free))
            variance += np.sum(cells * free * (1 - free))
            shared += np.sum(cells * p * free)
    return taken, math.sqrt(variance - n * shared**2)


def tilt(window, low, high):
    """Return the probability of a 1 in each last bit, less 1/2, where low <= |x| < high.

    low and high lie in one binade.  There float32 with 0 and with 1 take turns in runs of h cells.
    The probabilities of two such runs differ by the density's slope times the square of their
    width, and the sums over all runs by half their width times the density's rise from low to high.
    """
    width = 2.0 ** (math.floor(math.log2(low)) - 23)
    rise = sum(window.density(b) - window.density(a) for a, b in window.sides(low, high))
    return 2.0 ** np.arange(BITS) * width / 4 * rise / window.probability(low, high)


# The figures.  Each is (its name, the number of samples, what is expected, what was found).


def power(n):
    return f"2^{math.log2(n):.0f}"


def chi_squared(found, mean):
    """Return what is expected and what was found of the spread of these counts."""
    chi = np.mean((found - mean) ** 2) / mean
    expected = f"1 ± {math.sqrt(2 / found.size):.3f} ({mean**-0.5:.2%})"
    return expected, f"{chi:.3f} ({math.sqrt(chi / mean):.2%})"


def near_figures(window, counts):
    n, magnitudes = counts.near_n, np.sort(np.concatenate(counts.near))
    values = np.unique(magnitudes)
    samples = power(n)
    least = 1 / (n * 2 * window.density(0))
    yield "smallest abs(z) > 0", samples, f"{least:.1e}", f"{values[values > 0][0]:.1e}"
    yield "zeros", samples, "0", str(np.count_nonzero(magnitudes == 0))
    mean = n * window.probability(0, 6e-8)
    expected = f"{mean:.0f} ± {math.sqrt(mean):.0f}"
    yield "abs(z) < 6e-8", samples, expected, str(np.count_nonzero(magnitudes < 6e-8))

    mean, deviation = occupied(window, n, 0.0, NEAR, folded=True)
    expected = f"{mean:,.0f} ± {deviation / mean:.3%}"
    found = f"{values.size / mean - 1:+.3%}"
    yield "different abs(z) < 2^-10, over expected", samples, expected, found
    mean = n * window.probability(0, NEAR)
    expected = f"{math.log(mean) + np.euler_gamma:.1f} ± {math.pi / math.sqrt(6):.1f}"
    found = f"{np.diff(values.astype(np.float64)).max() * mean / NEAR:.1f}"
    yield "largest gap of abs(z) < 2^-10, in mean gaps", samples, expected, found

    for name, (fraction, binade) in HALVES.items():
        shift = 23 - fraction
        bits = magnitudes.view(np.int32)
        rounded = (bits + (1 << (shift - 1)) - 1 + (bits >> shift & 1)) >> shift  # ties to even
        cells = rounded - (bits_of(2.0**binade) >> shift)
        cells = cells[(cells >= 0) & (cells < 1 << fraction)]
        # The first cell is left out: it is narrower on one side.
        found = np.bincount(cells, minlength=1 << fraction)[1:]
        mean = n * window.probability(0, 2.0 ** (binade - fraction))
        what = f"cells of {name} in [2^{binade}, 2^{binade + 1})"
        yield what, samples, *chi_squared(found, mean)


def uniform_figures(counts):
    found = np.bincount(np.concatenate(counts.near), minlength=1 << 10)[1:]
    n, mean = counts.near_n, counts.near_n * 2.0**-22
    expected = f"{511 / 1023:.2%} ± {0.5 / math.sqrt(1023 * mean):.2%}"
    share = found[1::2].sum() / found.sum()
    yield "even last bits of float16 in [2^-12, 2^-11)", power(n), expected, f"{share:.2%}"
    yield "cells of float16 in [2^-12, 2^-11)", power(n), *chi_squared(found, mean)


def distinct_figures(window, counts):
    for n, found in counts.distinct:
        mean, deviation = occupied(window, n, 0.0, 2.0**COARSEST)
        expected = f"{mean:,.0f} ± {deviation / mean:.3%}"
        yield "different values, over expected", power(n), expected, f"{found / mean - 1:+.3%}"


def excesses(window, counts):
    """Return (name, samples, excesses of 1 over its probability in each last bit) of each row.

    Rows of less than 1000 samples are left out.
    """
    rows = [(f"2^{binade}", 2.0**binade, 2.0 ** (binade + 1)) for binade in BINADES]
    for bound in window.bounds:
        inside = bound - BAND if bound == window.upper else bound + BAND
        rows.append((f"{bound:g}", *sorted((abs(bound), abs(inside)))))
    ones = np.arange(1 << BITS) >> np.arange(BITS)[:, None] & 1
    return [
        (name, found.sum(), ones @ found / found.sum() - 0.5 - tilt(window, low, high))
        for (name, low, high), found in zip(rows, counts.last, strict=True)
        if found.sum() >= 1000
    ]


def last_figures(window, counts):
    rows = excesses(window, counts)
    binades = [row for row in rows if row[0].startswith("2^")]
    n = sum(samples for _, samples, _ in binades)
    total = sum(samples * excess for _, samples, excess in binades) / n
    figures = {"last bits in each binade": binades, "last bits in all binades": [("all", n, total)]}
    for name, *row in rows[len(binades) :]:
        figures[f"last bits within 2^-6 of {name}"] = [(name, *row)]
    for what, found in figures.items():
        usual = NormalDist().inv_cdf(1 - 0.005 / (len(found) * BITS))
        sigma, name, bit, excess = max(
            (abs(e) * 2 * math.sqrt(samples), name, bit, e)
            for name, samples, excess in found
            for bit, e in enumerate(excess)
        )
        where = f"bit {bit} in {name}" if len(found) > 1 else f"bit {bit}"
        cell = f"{sigma:.1f} ({excess:+.3%}, {where})"
        yield what, power(window.bits), f"< {usual:.1f} in 99%", cell


def figures(window, counts):
    if window.group == "uniform":
        return [*uniform_figures(counts)]
    near = near_figures(window, counts) if window.near else ()
    last = last_figures(window, counts) if window.bits else ()
    return [*near, *distinct_figures(window, counts), *last]


# The report.

TITLE = "# The lattice of the normals"
FIGURES, LAST_BITS = "## Figures", "## The last bits of fastinit's values"

TEXT = """\
Written by `{command}` on {date}. With `--only` and names of groups ({groups}) a run
makes their rows alone and keeps the others; this one made {made}.

Machine: {machine}.
Versions: {versions}.

fastinit makes a float32 normal of one 32-bit word: ten bits name one of 1024 layers, which leaves
2^22 values to each. The tables show how fine the values of all layers together are, beside those of
NumPy (a Ziggurat of 256 layers and 23 bits), of torch (Box-Muller) and, as a control of what is
expected, of float64 normals that are rounded to float32.

**Why 22 bits are enough.** The whole word, made odd, is the number that is multiplied by the edge
of the layer, so the layer's name is the end of that number, and no two layers share a lattice:
those of different edges have different spacings, and those of one edge are moved against each
other. Together they interleave. At z = 1, where float32 are 2^-23 apart, each of some 800 layers
of the normal has every 4th to 16th of them. Near 0 all 1024 meet; the smallest magnitude is 2^-31
times an edge, and never 0. So the normals take as many different values as NumPy's to 0.2%, with
smaller gaps and no zeros near 0. What remains of the normal's lattices is seen in cells so narrow
that some 500 of their points lie in each: those of float16 at 2^-12, which get 0.02% of all
samples, vary by 4% and NumPy's by 1% (beside Poisson's spread). The truncated normal keeps a
little in its last bits, too, and what the normals between other bounds keep stands in their rows.
torch takes 48 bits for two normals, and shows no lattice but in its zeros.
"""

NOTES = """\
* The samples are made in parts of 2^20. Part i is the elements from i 2^20 on of an array of the
  seed {seed}; `standard_normal` of float32 by `Philox(key={seed} + 2^64 i)`; `torch.randn` by the
  seed {seed} + i; and `standard_normal` of float64 by `Philox(key={other} + 2^64 i)`, rounded.
  fastinit's figures are the same on every machine. The other samples of a window are those normals
  that lie in it, as many of them on average. Uniforms are of float16; NumPy has none, so those
  of float32 are rounded.
* *Expected*: what exact normals give that are rounded to float32, and its standard deviation.
* *Different values*: how many more there are than expected. Expected is the sum over all float32
  of 1 - (1 - p)^n, computed by 4096 blocks of each binade.
* *Largest gap*: between neighbours among the values that occurred, over the gap that is expected
  on average. Exact normals leave gaps as a Poisson process does.
* *Cells*: the counts of the numbers that the samples are rounded to: chi-squared per degree of
  freedom, and in brackets their relative spread, beside Poisson's.
* *Last bits*: the excess of ones over their probability, which takes the slope of the density into
  account, in each of the last 12 bits (bit 0 is the last) of each binade from 2^-10 to 4. The
  figure is the worst in units of its standard error, and in brackets the excess itself. More
  samples make an excess that is real more units, and do not change it.
"""

DETAIL = """\
The excess of ones in each of the last bits, in units of its standard error, by binade, and within
2^-6 of each bound (in rows of its name).
"""


def rows_of(window, samplers, pool):
    """Return the rows of a window in the two tables."""
    found = {name: count(sampler, window, pool) for name, sampler in samplers.items()}
    cells = {name: figures(window, counts) for name, counts in found.items()}
    rows = []
    for i, row in enumerate(cells["fastinit"]):
        theirs = [cells[name][i][-1] if name in cells else "" for name in SAMPLERS]
        rows.append([window.name, *row[:-1], *theirs])
    details = []
    for name, n, excess in excesses(window, found["fastinit"]) if window.bits else ():
        error = 0.5 / math.sqrt(n)
        details.append([window.name, name, f"{error:.4%}", *(f"{e / error:+.1f}" for e in excess)])
    return rows, details


def written():
    """Return the rows that the report has, by its headings."""
    rows, heading = {}, ""
    for line in REPORT.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line
        elif line.startswith("| "):
            rows.setdefault(heading, []).append(line.strip("| ").split(" | "))
    return rows


def markdown(made, rows, details):
    versions = {name: version(name) for name in ("fastinit-kernels", "numpy")}
    versions["torch"] = version("torch") if torch else "not installed"
    text = TEXT.format(
        command=COMMAND,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        made=", ".join(made),
        groups=", ".join(GROUPS),
        machine=machine(),
        versions="; ".join(f"{name} {number}" for name, number in versions.items()),
    )
    parts = [
        TITLE,
        text,
        FIGURES,
        table(["of", "figure", "samples", "expected", *SAMPLERS], rows),
        NOTES.format(seed=SEED, other=SEED + 1),
        LAST_BITS,
        DETAIL,
        table(["of", "where", "standard error", *map(str, range(BITS))], details),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=GROUPS, nargs="+", default=GROUPS, metavar="GROUP")
    parser.add_argument("--halve", type=int, choices=range(7), default=0, metavar="TIMES")
    options = parser.parse_args()
    samplers = {name: s for name, s in SAMPLERS.items() if name != "torch" or torch}
    old = written() if options.only != GROUPS else {}
    tables = {FIGURES: [], LAST_BITS: []}
    with ThreadPoolExecutor(THREADS) as pool:
        for window in WINDOWS:
            if window.group in options.only:
                new = rows_of(window.halved(options.halve), samplers, pool)
            else:
                new = [[r for r in old[head] if r[0] == window.name] for head in tables]
            for rows, more in zip(tables.values(), new, strict=True):
                rows += more
    text = markdown(options.only, *tables.values())
    if options.halve:
        print(text)
    else:
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
