#!/usr/bin/env python3
"""Write tests/golden: `python tests/write_golden.py`.

values.txt has a few elements of each distribution, dtype, parameters and place, as text; floats are
in the hexadecimal notation of C and Python, which is exact.  fills.txt has the SHA-256 of longer
runs, of their bytes in little-endian order.  Each has one line, and test_golden.py compares them
with every kernel.

The files define the stream: a line that changes needs another STREAM_VERSION.  A new dtype is a
line in fills.FILLS, a new function one in cases().
"""

import hashlib
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
}
FEW, MANY = 8, 2**20 + 3
# They are tall and wide, of one panel and of several.
MATRICES = {
    FEW: [(4, 2, 1.0), (2, 4, -0.3)],
    MANY: [(300, 200, 1.0), (193, 193, -0.3), (97, 200, 1.0)],
}
# These are the carries of the element and of the blocks of 64-bit and 32-bit samples, and the end.
CARRIES = [2**32, 2**33, 2**34, 2**64]


@cache
def redrawn(distribution, dtype):
    """Return places where the Ziggurat needs many attempts, or ends in the tail."""
    if distribution not in ("normal", "truncated"):
        return []
    tag, width, n = reference.TAGS[distribution], reference.width_of(dtype), 2**17
    layers = reference.samples(tag, width, SEED, 0, n) % 256
    at = np.flatnonzero(layers >= reference.tables(tag).inscribed).tolist()
    draws = {i: reference.variate(tag, width, SEED, i) for i in at}
    many = max(at, key=lambda i: draws[i].attempts)
    far = max(at, key=lambda i: abs(draws[i].z))
    return [many, far]


def cases(n):
    """Yield a label, how to make its n elements by the kernels in use, and how by the reference."""
    for distribution, dtype in FILLS:
        for parameters in PARAMETERS[distribution]:
            if dtype == "float16" and max(parameters) > 65504:
                continue
            starts = [0, *(end - n if end == 2**64 else end - n // 2 for end in CARRIES)]
            for start in [*starts, *redrawn(distribution, dtype)]:
                case = (distribution, dtype, parameters, start)
                label = " ".join([distribution, dtype, *map(repr, parameters), f"start={start}"])
                yield label, lambda c=case: kernels(*c, n), lambda c=case: by_reference(*c, n)
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
