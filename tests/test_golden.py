"""Version 1 of the stream is tests/golden: a change of any bit is another stream, and so another
STREAM_VERSION, another text in include/fastinit.h, and an entry in CHANGELOG.md.
"""

import numpy as np
import pytest
import write_golden
from fills import as_bits
from write_golden import FILES, GOLDEN, cases, header

import fastinit


def read(name):
    first, *lines = (GOLDEN / name).read_text(encoding="utf-8").splitlines()
    assert fastinit.STREAM_VERSION == 1
    assert first == header(name)
    return lines


@pytest.mark.parametrize("name", FILES)
def test_golden(isa, name):
    n, line = FILES[name]
    expected = read(name)
    found = [line(label, make()) for label, make, _ in cases(n)]
    assert len(expected) > 100
    for a, b in zip(found, expected, strict=True):
        assert a == b


def test_the_reference_makes_the_same_values():
    """So the file is not just what the kernels once happened to give."""
    n, line = FILES["values.txt"]
    assert [line(label, make()) for label, _, make in cases(n)] == read("values.txt")


def test_values_of_the_file_are_exact():
    """Read again, they are the same numbers: no digit of the text is wanting."""
    n, _ = FILES["values.txt"]
    for line, (_, make, _) in zip(read("values.txt"), cases(n), strict=True):
        array = make()
        parse = (lambda x: int(x, 16)) if array.dtype.kind == "u" else float.fromhex
        numbers = [parse(x) for x in line.split(": ")[1].split()]
        assert np.array_equal(as_bits(np.array(numbers, array.dtype)), as_bits(array))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FILES)
def test_any_flipped_bit_is_noticed(name):
    n, line = FILES[name]
    flipped = noticed = 0
    for number, (expected, (label, make, _)) in enumerate(zip(read(name), cases(n), strict=True)):
        array = make()
        bits = as_bits(array)
        size = 8 * array.itemsize
        at = range(array.size) if name == "values.txt" else [number * 9001 % array.size]
        for i in at:
            mask = bits.dtype.type(1 << (number + i) % size)
            bits[i] ^= mask
            noticed += line(label, array) != expected
            bits[i] ^= mask
        assert line(label, array) == expected
        flipped += len(at)
    assert noticed == flipped > 100


def test_the_writer_writes_these_files(tmp_path, monkeypatch):
    monkeypatch.setattr(write_golden, "GOLDEN", tmp_path)
    write_golden.main()
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()
