"""Counts of elements and of bytes on both sides of 2^31, 2^32 and 2^63, without the memory."""

import numpy as np
import pytest
from fills import FILLS, FLOATS, assert_same_bits, fill
from reference import philox

import fastinit
from fastinit import _kernels, initializers
from fastinit._cli.main import main
from fastinit._files.headers import ENCODERS, promised_size
from fastinit._files.job import Job

EDGES = (1 << 31, 1 << 32)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("distribution", "dtype"), FILLS)
def test_fills_across_an_edge(isa, distribution, dtype, edge, n):
    """A fill from edge - k on has the elements of fills on either side."""
    size = np.dtype(dtype).itemsize
    for middle in (edge, edge // size, edge // 4, edge * 4):  # elements, bytes, words, blocks
        both = fill(distribution, dtype, middle - 300, 700, threads=n)
        assert_same_bits(both[:300], fill(distribution, dtype, middle - 300, 300))
        assert_same_bits(both[300:], fill(distribution, dtype, middle, 400))
        ones = [fill(distribution, dtype, middle + i, 1) for i in range(-2, 2)]
        assert_same_bits(both[298:302], np.concatenate(ones))


@pytest.mark.parametrize("block", [(1 << 29) - 1, 1 << 29, (1 << 30) - 1, 1 << 32, (1 << 62) - 1])
def test_words_beside_an_edge(isa, block):
    """The words are Philox's own, of a counter that is computed here."""
    words = fill("bits", "uint32", 4 * block, 4, seed=5)
    assert words.tolist() == list(philox((block & 0xFFFFFFFF, block >> 32, 0, 0), (5, 0)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("edge", EDGES)
def test_parts_of_lazy_arrays_across_an_edge(edge, dtype):
    """Rows, columns and `out` are the same whichever index crosses the edge."""
    init = initializers.TruncatedNormal(seed=1)
    flat = init.lazy((4 * edge,), dtype)
    size = flat.dtype.itemsize
    for middle in (edge, edge // size):
        part = flat[middle - 8 : middle + 8]
        kernel = fill("truncated", dtype, middle - 8, 16, 1, (0.0, 0.05))
        assert_same_bits(part, kernel)
        for shape in ((2 * edge // 8, 8), (edge // 4, 2, 2, 2)):
            rows = init.lazy(shape, dtype)
            at = middle // 8
            assert_same_bits(rows[at - 1 : at + 1].reshape(-1), part)
            assert_same_bits(rows[[at, at - 1]].reshape(2, 8)[::-1].reshape(-1), part)
            out = np.zeros((2, *shape[1:]), flat.dtype)
            rows.read(np.s_[at - 1 : at + 1], out)
            assert_same_bits(out.reshape(-1), part)
        wide = init.lazy((3, 2 * edge), dtype)  # one row has more columns than 32 bits can number
        assert_same_bits(wide[0, middle - 8 : middle + 8], part)
        assert_same_bits(wide[1:, -4:].reshape(-1), np.concatenate([flat[4 * edge - 4 :],
            fill("truncated", dtype, 6 * edge - 4, 4, 1, (0.0, 0.05))]))  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
def test_keys_beside_an_edge(dtype):
    """Keys that differ only beyond 31, 32 or 63 bits have rows of their own, at any place."""
    rows = initializers.RandomNormal(seed=1).keyed(5, dtype)
    keys = [key for edge in (*EDGES, 1 << 63) for key in (edge - 1, edge, edge + 1)] + [0, 1]
    found = rows[np.array(keys, "uint64")]
    assert len({row.tobytes() for row in found}) == len(keys)
    for key, row in zip(keys, found, strict=True):
        assert_same_bits(rows[key], row)
    # A row of 2^32 elements would have them at its end; their first and last columns exist.
    assert initializers.RandomNormal(seed=1).keyed(1 << 32).dim == 1 << 32


@pytest.mark.parametrize("edge", EDGES)
def test_lengths_of_buffers_beside_an_edge(edge):
    """An `out` of one element too few or too many is refused, whatever 32 bits would hold."""
    lazy = initializers.Zeros().lazy((edge + 1,), "int8")
    assert (lazy.size, lazy.nbytes, len(lazy)) == (edge + 1,) * 3
    out = np.ones(1, "int8")
    for part in (np.s_[:], np.s_[: edge + 1], np.s_[1 : edge + 1]):
        with pytest.raises(ValueError, match=r"out has shape \(1,\)"):
            lazy.read(part, out)
    assert lazy.read(np.s_[edge:], out)[0] == 0
    with pytest.raises(IndexError, match="out of bounds"):
        lazy[edge + 1]
    with pytest.raises(ValueError, match=r"out has shape \(1,\)"):
        fastinit.random_normal(edge + 1, out=np.ones(1, "float32"))


@pytest.mark.parametrize("shape", [(1 << 31, 1), (1 << 31, 2), (1 << 32, 1), (3, 1 << 32)])
@pytest.mark.parametrize("suffix", sorted(ENCODERS))
def test_headers_of_huge_arrays(suffix, shape):
    """The header says the size that the file will have, and it is read back."""
    for dtype in ("float32", "float64", "float16"):
        header = ENCODERS[suffix](np.dtype(dtype), shape, "weight", {"stream_version": "1"})
        nbytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
        assert promised_size(suffix, header) == len(header) + nbytes


@pytest.mark.parametrize("edge", EDGES)
def test_rows_of_a_file_across_an_edge(edge, tmp_path, monkeypatch):
    """A shard of rows on both sides has the values of the whole."""
    monkeypatch.chdir(tmp_path)
    first, end = edge // 16 - 3, edge // 16 + 3  # the edge is in the middle, as elements
    options = ["--init", "random_uniform", "--seed", "3", "--shape", f"{edge}x16"]
    assert main(["create", "a.npy", *options, "--rows", f"{first}:{end}", "--quiet"]) == 0
    whole = initializers.RandomUniform(seed=3).lazy((edge, 16))
    assert_same_bits(np.load("a.npy"), whole[first:end])


def test_the_place_of_a_chunk_in_a_huge_file(tmp_path):
    """Chunks beyond 2^31 and 2^32 bytes and elements hold the values of their place."""
    options = {"init": "random_normal", "shape": [1 << 33], "seed": 3}
    job = Job(tmp_path / "a.npy", options)
    for edge in EDGES:
        for offset in (edge, 4 * edge):
            out = np.zeros(600, "float32")
            job.fill(out, offset - 1200)
            assert_same_bits(out, job.lazy[offset // 4 - 300 : offset // 4 + 300])
            start = offset // 4 - 300
            assert_same_bits(out, fill("normal", "float32", start, 600, 3, (0.0, 0.05)))


def test_the_last_elements_of_the_counter():
    """The last index is 2^64 - 1; one more element is an OverflowError."""
    last = initializers.RandomUniform(seed=1).lazy((1 << 64,))
    kernel = np.empty(3, "float32")
    _kernels.uniform(kernel, (1 << 64) - 3, 1, -0.05, 0.05, 1)
    assert_same_bits(last[-3:], kernel)
    with pytest.raises(OverflowError, match="2\\*\\*64 elements"):
        initializers.RandomUniform(seed=1).lazy(((1 << 64) + 1,))
