#!/usr/bin/env python3
"""Write tests/golden: `python tests/write_golden.py`.

values.txt has a few elements of each distribution, dtype, parameters and place, as text; floats are
in the hexadecimal notation of C and Python, which is exact.  fills.txt has the SHA-256 of longer
runs, of their bytes in little-endian order.  Each has one line, and test_golden.py compares them
with every kernel.

The files define the stream: a line that changes needs another STREAM_VERSION.  A new dtype is a
line in fills.FILLS, a new function one in cases().  fastinit/_selftest.py has some of the digests
of fills.txt; test_selftest.py says which, when they differ.
"""

import hashlib
import math
from functools import cache
from pathlib import Path

import numpy as np
import reference
from fills import FILLS, FLOATS, as_bits, fill

import fastinit

GOLDEN = Path(__file__).with_name("golden")
SEED = 0x9E3779B97F4A7C15  # both halves of the key in use
PARAMETERS = {
    "bits": [()],
    "uniform": [(0.0, 1.0), (-0.05, 0.05), (16777216.0, 16777219.0)],
    "normal": [(0.0, 1.0), (0.3, 0.05)],
    "truncated": [(0.0, 1.0), (0.3, 0.05), (1e8, 3.0)],
    "between": [  # mean, standard deviation, and the bounds in standard deviations
        (0.0, 1.0, -3.0, 3.0),
        (0.3, 0.05, -1.0, 1.0),
        (0.0, 0.02, 0.0, math.inf),
        (-2.5, 0.7, 4.0, math.inf),
        (0.1, 0.3, 8.0, 9.0),
        (0.3, 0.05, 1.0, 1.0001),  # nothing of the halves in between
        (0.1, 0.7, -0.5, 2.5),
        (1.5, 0.25, -math.inf, -1.0),
    ],
}
FEW, MANY = 8, 2**20 + 3
# They are tall and wide, of one panel and of several.
MATRICES = {
    FEW: [(4, 2, 1.0), (2, 4, -0.3)],
    MANY: [(300, 200, 1.0), (193, 193, -0.3), (97, 200, 1.0)],
}
# These are the carries of the element and of the blocks of 64-bit and 32-bit samples, and the end.
CARRIES = [2**32, 2**33, 2**34, 2**64]
KEYS = [0, 1, 2**63 + 5, 2**64 - 1]
DIMS = {FEW: [1, 3], MANY: [37, 64]}


@cache
def redrawn(distribution, width, *bounds):
    """Return places where the Ziggurat needs many attempts, or ends in the tail."""
    if distribution not in ("normal", "truncated", "between"):
        return []
    tag, n = reference.TAGS[distribution], 2**17
    words = reference.samples(tag, width, SEED, 0, n)
    if bounds:
        refused = reference.refused_between(reference.window(*bounds), width, words)
    else:
        refused = reference.layer_of(width, words) >= reference.tables(tag).inscribed
    at = np.flatnonzero(refused).tolist()
    draws = {i: reference.variate(tag, width, SEED, i, *bounds) for i in at}
    many = max(at, key=lambda i: draws[i].attempts)
    far = max(at, key=lambda i: abs(draws[i].z))
    return [many, far]


def starts_of(distribution, dtype, parameters, n):
    """Return where the cases begin; each window has one of the carries, as there are many."""
    starts = [0, *(end - n if end == 2**64 else end - n // 2 for end in CARRIES)]
    if distribution == "between":
        number = PARAMETERS[distribution].index(parameters)
        starts = [0, starts[1 + number % len(CARRIES)]]
    return [*starts, *redrawn(distribution, reference.width_of(dtype), *parameters[2:])]


def keys(count):
    """Return keys that are far from each other, beginning with the ends of their range."""
    numbers = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    numbers[: len(KEYS)] = KEYS
    return numbers


def cases(n):
    """Yield a label, how to make its n elements by the kernels in use, and how by the reference."""
    for distribution, dtype in FILLS:
        for parameters in PARAMETERS[distribution]:
            if dtype == "float16" and max(parameters[:2], default=0) > 65504:
                continue
            name = " ".join([distribution, dtype, *map(repr, parameters)])
            for start in starts_of(distribution, dtype, parameters, n):
                case = (distribution, dtype, parameters, start)
                label = f"{name} start={start}"
                yield label, lambda c=case: kernels(*c, n), lambda c=case: by_reference(*c, n)
            for dim in DIMS[n]:
                count = len(KEYS) if n == FEW else n // dim
                case = (distribution, dtype, parameters, count, dim)
                label = f"{name} keyed={count}x{dim}"
                yield label, lambda c=case: keyed(*c), lambda c=case: keyed_by_reference(*c)
    for dtype in FLOATS:
        for rows, columns, gain in MATRICES[n]:
            case = (dtype, SEED, rows, columns, gain)
            label = f"orthogonal {dtype} {gain} {rows}x{columns}"
            yield label, lambda c=case: matrix(*c), lambda c=case: reference.orthogonal(*c).ravel()


def matrix(dtype, seed, rows, columns, gain):
    return fastinit.orthogonal((rows, columns), gain, seed, dtype).ravel()


def kernels(distribution, dtype, parameters, start, n):
    return fill(distribution, dtype, start, n, SEED, parameters, threads=2)


def by_reference(distribution, dtype, parameters, start, n):
    elements = range(start, start + n)
    return np.array(
        [reference.element(distribution, dtype, SEED, i, *parameters) for i in elements], dtype
    )


def keyed(distribution, dtype, parameters, count, dim):
    return fill(distribution, dtype, keys(count), count * dim, SEED, parameters, 2, keyed=True)


def keyed_by_reference(distribution, dtype, parameters, count, dim):
    elements = [
        reference.keyed_element(distribution, dtype, SEED, key, column, *parameters)
        for key in keys(count).tolist()
        for column in range(dim)
    ]
    return np.array(elements, dtype)


def value_line(label, array):
    integers = array.dtype.kind == "u"
    return f"{label}: " + " ".join(hex(x) if integers else float(x).hex() for x in array.ravel())


def fill_line(label, array):
    bits = as_bits(array)
    digest = hashlib.sha256(bits.astype(bits.dtype.newbyteorder("<")).tobytes()).hexdigest()
    return f"{label} n={array.size}: {digest}"


FILES = {"values.txt": (FEW, value_line), "fills.txt": (MANY, fill_line)}


def header(name):
    what = {"values.txt": "Elements", "fills.txt": "SHA-256 of elements, little-endian,"}[name]
    return f"# {what} of stream version {fastinit.STREAM_VERSION}, seed {SEED:#x}."


def main():
    for name, (n, line) in FILES.items():
        lines = [header(name), *(line(label, make()) for label, make, _ in cases(n))]
        (GOLDEN / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
