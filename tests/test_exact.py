"""An array has the same bits however it is cut, whatever kernels run, and on any number of threads.

Everything is compared with the portable kernels on one thread, in one piece; test_reference.py
compares these with the contract.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import reference
from fills import FILLS, PARAMETERS, assert_same_bits, fill

from fastinit import _kernels

BATCH, CHUNK = 64, 8192  # elements: kernel.c
PIECE_MIN, PIECE_MAX, PARALLEL_MIN = 32 << 10, 2 << 20, 128 << 10  # bytes: parallel.c

THREADS = (1, 2, 3, 7)
each_case = pytest.mark.parametrize(("distribution", "dtype"), FILLS)


@cache
def whole(distribution, dtype, start, n):
    """Return what is right, made in aligned runs of a chunk: only its start and its end are cut."""
    before = _kernels.isa()
    _kernels.use_isa("portable")
    cuts = [start, *range(start - start % CHUNK + CHUNK, start + n, CHUNK), start + n]
    parts = [fill(distribution, dtype, a, b - a) for a, b in pairwise(cuts)]
    _kernels.use_isa(before)
    return np.concatenate(parts)


@each_case
def test_every_small_size_at_every_kind_of_start(isa, distribution, dtype):
    longest = 200
    for start in (0, 1, 3, BATCH - 1, BATCH, 1000, CHUNK - 100, CHUNK - 1, CHUNK):
        expected = whole(distribution, dtype, start, longest)
        for n in range(longest + 1):
            assert_same_bits(fill(distribution, dtype, start, n), expected[:n])


@each_case
def test_every_start_in_a_batch(isa, distribution, dtype):
    """The fills begin at each start of a first batch, and end in each of the next ones."""
    expected = whole(distribution, dtype, 0, 4 * BATCH)
    for start in range(BATCH + 1):
        for end in (start + 1, start + 5, BATCH, 2 * BATCH - 1, 2 * BATCH + start, 4 * BATCH):
            n = max(0, end - start)
            assert_same_bits(fill(distribution, dtype, start, n), expected[start : start + n])


@each_case
def test_every_element_alone(isa, distribution, dtype):
    """The rejected ones, ten or more, are then the first and the last of a fill, or beside it."""
    expected = whole(distribution, dtype, 0, 4096)
    for i in range(expected.size):
        assert_same_bits(fill(distribution, dtype, i, 1), expected[i : i + 1])


@each_case
def test_around_the_chunks(isa, distribution, dtype):
    expected = whole(distribution, dtype, 0, 3 * CHUNK + 200)
    for start in (0, 1, BATCH + 3, CHUNK - 1, CHUNK):
        for end in (CHUNK, 2 * CHUNK, 3 * CHUNK):
            for n in range(end - start - 2, end - start + 3):
                n = max(n, 0)
                assert_same_bits(fill(distribution, dtype, start, n), expected[start : start + n])


def piece_ends(itemsize, threads):
    """Return sizes, in elements, around which parallel.c cuts otherwise."""
    sizes = [PARALLEL_MIN, 5 * PIECE_MIN, 9 * PIECE_MIN * threads]
    sizes += [PIECE_MAX] if threads == 1 else [4 * threads * PIECE_MIN * 2]
    return [size // itemsize + d for size in sizes for d in (-1, 0, 1)]


@each_case
@pytest.mark.parametrize("threads", THREADS)
def test_around_the_pieces_of_each_thread(isa, distribution, dtype, threads):
    """A start that is no multiple of anything puts the pieces' ends inside batches too."""
    ends = piece_ends(np.dtype(dtype).itemsize, threads)
    expected = whole(distribution, dtype, 0, 1_200_000)
    for start in (0, 5, CHUNK + BATCH + 7):
        for n in ends:
            found = fill(distribution, dtype, start, n, threads=threads)
            assert_same_bits(found, expected[start : start + n])


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_pieces(isa, dtype, threads):
    """Any number of threads cuts so large an array at PIECE_MAX; one distribution does for all."""
    n = (4 * 7 + 1) * PIECE_MAX // np.dtype(dtype).itemsize + 3
    found = fill("truncated", dtype, 11, n, threads=threads)
    assert_same_bits(found, whole("truncated", dtype, 11, n))


# 2^32 elements; 2^32 blocks of 64-bit and of 32-bit samples; the sign bit; the last element.
CARRIES = [2**32, 2**33, 2**34, 2**63, 2**64]


@each_case
@pytest.mark.parametrize("position", CARRIES)
def test_across_the_carries_without_the_array(isa, distribution, dtype, position):
    span = 40_000  # enough for pieces
    start = position - span if position == 2**64 else position - span // 2
    expected = whole(distribution, dtype, start, span)
    for threads in THREADS:
        assert_same_bits(fill(distribution, dtype, start, span, threads=threads), expected)
    for first in (1, 4093, span // 2 - 1, span // 2, span - 1):
        for n in (1, 2, 65, span - first):
            n = min(n, span - first)
            found = fill(distribution, dtype, start + first, n)
            assert_same_bits(found, expected[first : first + n])


@each_case
def test_positions_do_not_repeat(isa, distribution, dtype):
    """If a counter's carry were lost, the stream would start again at one of the carries."""
    starts = [0, *CARRIES[:-1], 2**64 - 1000]
    found = [fill(distribution, dtype, start, 1000) for start in starts]
    for i, a in enumerate(found):
        for b in found[:i]:
            # Equal by chance: 8-bit mantissas agree in 1 of 100 pairs, others far less often.
            # 60 of 1000 with 10 expected: below 1e-20 for each of the 15 pairs of starts.
            assert (a == b).sum() < 60


# Spans of 512 elements and more are made as runs, those of one or two one by one, all others by the
# list of blocks (kernel.c, short_spans.h).
SHORT = [1, 2, 3, 5, 8, 63, 64, 65, 511, 512, 513]


@each_case
@pytest.mark.parametrize("length", [*SHORT, 128, 200, CHUNK + 1, 40_000])
def test_rows(isa, distribution, dtype, length):
    """Rows start anywhere, in any order, with repeats; there are enough for two threads' pieces."""
    count, spread = 100_000 // length + 2, 600_000
    first = np.uint64(2**34 - spread // 2)
    starts = np.random.default_rng(length).integers(0, spread - length, count, np.uint64)
    starts[count // 2] = starts[0]
    expected = whole(distribution, dtype, int(first), spread)
    expected = np.lib.stride_tricks.sliding_window_view(expected, length)[starts]
    for threads in (1, 2):
        found = fill(distribution, dtype, starts + first, count * length, threads=threads)
        assert_same_bits(found, expected.reshape(-1))


def positions(length, spread):
    """Return starts of rows: one after the other, overlapping, repeated, backwards, and the last.

    Of each kind there are enough to fill the list of blocks.
    """
    count = 600 if length < 16 else 20
    i = np.arange(count, dtype=np.uint64)
    last = np.full(count, spread - length, np.uint64)
    kinds = [i * np.uint64(length), i + np.uint64(17), 0 * i + np.uint64(4097)]
    return np.concatenate([*kinds, kinds[0][::-1], last, last - i])


@each_case
@pytest.mark.parametrize("length", SHORT)
@pytest.mark.parametrize("end", [2**34 + 10_000, 2**64])
def test_rows_in_order_and_at_the_end(isa, distribution, dtype, length, end):
    """What the kernels list is the same where blocks follow each other, and where they do not."""
    spread = 20_000
    starts = positions(length, spread)
    expected = whole(distribution, dtype, end - spread, spread)
    expected = np.lib.stride_tricks.sliding_window_view(expected, length)[starts]
    starts += np.uint64(end - spread)
    found = fill(distribution, dtype, starts, starts.size * length)
    assert_same_bits(found, expected.reshape(-1))


def test_rows_that_are_all_rejected(isa):
    """Rows of one such element have more redraws at once than a chunk is expected to have."""
    many = np.arange(2**17, dtype=np.uint64)
    tag = reference.NORMAL
    layers = reference.layer_of(32, reference.samples(tag, 32, 1, 0, many.size))
    starts = many[layers >= reference.tables(tag).inscribed]
    assert starts.size > 200  # 0.2% of all
    starts = np.tile(starts, 15_000 // starts.size + 1)  # fifteen times what is kept at once
    expected = whole("normal", "float32", 0, many.size)[starts]
    assert_same_bits(fill("normal", "float32", starts, starts.size), expected)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_one_rejected_row_again_and_again(isa, dtype, length, keyed):
    """The list of rejected elements fills up within a chunk, and what it redrew stays."""
    ids = np.arange(20_000, dtype=np.uint64) * (1 if keyed else length)
    alone = [fill("normal", dtype, i, length, keyed=keyed) for i in ids[:3072].reshape(-1, 1)]
    width = 8 * max(np.dtype(dtype).itemsize, 4)
    words = (
        [reference.keyed_sample(reference.NORMAL, width, 1, i, 0) for i in range(3072)]
        if keyed
        else reference.samples(reference.NORMAL, width, 1, 0, 3072 * length)[::length]
    )
    layers = reference.layer_of(width, np.array(words, np.uint64))
    rejected = int(np.flatnonzero(layers >= reference.tables(reference.NORMAL).inscribed)[0])
    batch = np.array([3] * 64 + [rejected] * 1500 + [3, rejected] * 300)
    found = fill("normal", dtype, ids[batch], batch.size * length, keyed=keyed)
    assert_same_bits(found, np.concatenate([alone[i] for i in batch]))


@pytest.mark.parametrize(("distribution", "dtype"), [("normal", "float32"), ("bits", "uint64")])
def test_streamed_fills(isa, distribution, dtype):
    """From 24 threads and 256 MiB on, elements are stored past the caches (streaming.c)."""
    size = np.dtype(dtype).itemsize
    n = (256 << 20) // size + 12_345
    parameters = PARAMETERS[distribution]
    # It starts and ends within vectors, and in the middle of a page.
    array = np.zeros(n + 3, dtype)
    getattr(_kernels, distribution)(array[3:], 7, 1, *parameters, 24)
    assert not array[:3].any()
    part = 1 << 24
    for start in range(0, n, part):
        piece = array[3 + start : 3 + start + part]
        assert_same_bits(piece, fill(distribution, dtype, 7 + start, piece.size))


# Rows by key


# The first key, the next one, one with both halves in use, and the last; then any.
KEYS = np.concatenate(
    [
        np.array([0, 1, 2**32, 2**63 + 5, 2**64 - 1], np.uint64),
        np.random.default_rng(7).integers(0, 2**64, 195, np.uint64),
    ]
)
LONGEST = 600


@cache
def keyed_rows(distribution, dtype):
    """Return what is right, made one row at a time; test_reference.py has elements of them."""
    before = _kernels.isa()
    _kernels.use_isa("portable")
    rows = [fill(distribution, dtype, KEYS[i : i + 1], LONGEST, keyed=True) for i in range(200)]
    _kernels.use_isa(before)
    return np.array(rows)


@each_case
@pytest.mark.parametrize("dim", [*SHORT, 37, LONGEST])
def test_keyed_rows_of_any_batch(isa, distribution, dtype, dim):
    """A row depends on its key alone, and a shorter row is the beginning of a longer one."""
    rows = keyed_rows(distribution, dtype)[:, :dim]
    rng = np.random.default_rng(dim)
    mixed = rng.permutation(KEYS.size)
    batches = [np.arange(KEYS.size), mixed, mixed[:1], np.repeat(mixed[:9], 7), mixed[::-1]]
    for batch in batches:
        found = fill(distribution, dtype, KEYS[batch], batch.size * dim, keyed=True)
        assert_same_bits(found, rows[batch].reshape(-1))


@each_case
@pytest.mark.parametrize("threads", THREADS)
def test_keyed_rows_on_any_number_of_threads(isa, distribution, dtype, threads):
    """There are pieces for all threads, most of which begin and end within a row."""
    rows = keyed_rows(distribution, dtype)
    batch = np.random.default_rng(threads).integers(0, KEYS.size, 1000)
    for dim in (37, LONGEST):
        found = fill(distribution, dtype, KEYS[batch], batch.size * dim, 1, None, threads, True)
        assert_same_bits(found, rows[batch, :dim].reshape(-1))


@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
def test_keyed_rows_of_many_blocks(isa, dtype):
    """A long row is made in pieces by several threads; columns go on where the list was full."""
    key = np.array([2**63 + 5], np.uint64)
    n = 300_001
    words = fill("bits", dtype, key, n, keyed=True)
    assert_same_bits(fill("bits", dtype, key, n, threads=3, keyed=True), words)
    width = 8 * words.itemsize
    for column in (0, 1, 2047, 2048, CHUNK - 1, CHUNK, n - 1):
        assert words[column] == reference.keyed_sample(
            reference.BITS, width, 1, int(key[0]), column
        )


@each_case
def test_keys_make_other_streams_than_positions(isa, distribution, dtype):
    """No row is a part of the array of the seed, wherever the key is taken for a position."""
    rows = keyed_rows(distribution, dtype)[:5]
    for row, key in zip(rows, KEYS[:5].tolist(), strict=True):
        for start in {key, 4 * key, 2 * key, 0}:
            start = min(start % 2**64, 2**64 - LONGEST)
            array = whole(distribution, dtype, start, LONGEST)
            # 50 of 600 with 6 expected, as in test_positions_do_not_repeat: below 1e-20 for each.
            assert (row == array).sum() < 50
            # A row and the array may also share one block: four values that agree in 1 of 100
            # pairs, or two that agree far less often, below 1e-8 for each.
            block = 16 // max(row.itemsize, 4)
            assert not np.array_equal(row[:block], array[:block])
    for i, a in enumerate(rows):
        for b in rows[:i]:
            assert (a == b).sum() < 50


def test_no_64_bits_twice():
    """Rows and the arrays of all positions that keys may be taken for have no sample in common."""
    found = [keyed_rows("bits", "uint64").reshape(-1)]
    starts = np.unique(np.concatenate([KEYS, 2 * KEYS]) // 1000 * 1000)  # no two overlap
    found += [whole("bits", "uint64", start, LONGEST) for start in starts.tolist()]
    samples = np.concatenate(found)
    assert samples.size > 350_000  # two are equal by chance with a probability of 4e-9
    assert np.unique(samples).size == samples.size
