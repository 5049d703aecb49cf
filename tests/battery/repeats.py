"""Birthday spacings, collisions, and repeated blocks."""

import numpy as np

from . import pvalues

SKIPPED = 8  # of 2^31 blocks, the hashes that are kept take 64 MiB


def days_of(case, x):
    """Return integers that are uniform on 2^bits days, of one element or more each, and bits.

    Of the normals they are the last bits of the mantissa, which are uniform (values.py), but that
    those of float32 differ from it by 1e-4 at most: collisions are more frequent by 1e-8 for that.
    """
    if case.distribution == "bits":
        return (x, 32) if case.width == 32 else (x >> np.uint64(4), 60)
    if case.distribution == "uniform":
        if case.width == 64:
            return (x * 2.0**53).astype(np.uint64), 53
        return _joined((x * np.float32(2**22)).astype(np.uint64), 22, 2)
    if case.width == 64:
        return x.view(np.uint64) & np.uint64(2**48 - 1), 48
    return _joined((x.view(np.uint32) & np.uint32(4095)).astype(np.uint64), 12, 4)


def _joined(values, bits, count):
    days = values[0::count].copy()
    for i in range(1, count):
        days <<= np.uint64(bits)
        days |= values[i::count]
    return days, bits * count


def layout(case):
    """Return (elements a day, bits of a day, days drawn at once): a third of 2^(bits + 2)."""
    x = np.zeros(4, case.dtype)
    days, bits = days_of(case, x)
    # With m = 2^k days of 2^bits the mean number of equal spacings is 2^(3 k - bits - 2).
    return 4 // days.size, bits, 1 << (bits + 2) // 3


def count_repeats(case, seed, start, n):
    each, bits, m = layout(case)
    size = each * m
    at_once = max(1, 2**20 // size)
    spacings = collisions = 0
    shift = bits - collision_bits(m)
    for at in range(start, start + n, size * at_once):
        rows = min(at_once, (start + n - at) // size)
        days, _ = days_of(case, case.draw(seed, at, size * rows))
        days = np.sort(days.reshape(rows, m), axis=1)
        gaps = np.sort(np.diff(days, axis=1), axis=1)
        spacings += int(np.count_nonzero(gaps[:, 1:] == gaps[:, :-1]))
        days >>= days.dtype.type(shift)
        collisions += int(np.count_nonzero(days[:, 1:] == days[:, :-1]))
    return {"found": np.array([spacings, collisions])}


def collision_bits(m):
    """Return the bits of a day of which m expect 8 collisions."""
    return 2 * (m.bit_length() - 1) - 4


def judge_repeats(case, n, sums):
    """Take both for Poisson's: Marsaglia and Tsang, J. Stat. Softw. 7 (2002), issue 3.

    The mean number of equal spacings is wrong by some 1 / m of itself.  The variance of the
    collisions is smaller than their mean by the share of days that are taken, 1% at most.
    """
    each, bits, m = layout(case)
    times = n // (each * m)
    spacings, collisions = sums["found"]
    k = 2.0 ** collision_bits(m)
    expected = m + k * np.expm1(m * np.log1p(-1 / k))
    return {
        "birthday spacings": pvalues.poisson(spacings, times * m**3 / 4 / 2.0**bits),
        "collisions": pvalues.poisson(collisions, times * expected),
    }


def hash_blocks(case, seed, start, n):
    """Return those 64-bit hashes of blocks of 16 bytes whose first SKIPPED bits are 0."""
    found = []
    size = min(2**18, n)
    for at in range(start, start + n, size):
        pairs = case.draw(seed, at, size).view(np.uint64).reshape(-1, 2)
        h = pairs[:, 0] * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(32)
        h += pairs[:, 1]
        h *= np.uint64(0xD6E8FEB86659FD93)
        h ^= h >> np.uint64(32)
        h *= np.uint64(0x9E3779B97F4A7C15)
        found.append(h[h < np.uint64(1 << 64 - SKIPPED)])
    return {"hashes": np.concatenate(found)}


def judge_blocks(case, n, sums):
    """Expect next to none: blocks have 60 bits of chance or more, and their hashes 64."""
    hashes = np.sort(sums["hashes"])
    again = int(np.count_nonzero(hashes[1:] == hashes[:-1]))
    return {
        "repeated blocks": pvalues.poisson(again, float(hashes.size) ** 2 / 2.0**65 * 2**SKIPPED)
    }
