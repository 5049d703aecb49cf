"""tests/c/digest.c prints the same digests of every kernel, on every machine, however it is built.

Other machines than this one are emulated.
"""

import re
from collections import Counter

import numpy as np
import programs
import pytest
import reference
from fills import fill

from fastinit import _kernels

SEED = 0x9E3779B97F4A7C15  # of digest.c


def digests(machine, *arguments):
    """Return {ISA: its lines}; the program itself compares threads and rounding modes."""
    found = {}
    for line in programs.run(machine, "digest", *arguments).decode().splitlines():
        isa, rest = line.split(" ", 1)
        found.setdefault(isa, []).append(rest)
    return found


@pytest.fixture(scope="module")
def native():
    return digests(programs.native())


def test_every_kernel_here(native):
    assert list(native) == _kernels.isas()
    for lines in native.values():
        assert len(lines) > 1500
        assert len(set(lines)) == len(lines)
        assert lines == native["portable"]


def test_one_kernel_alone(native):
    last = _kernels.isas()[-1]
    assert digests(programs.native(), last) == {last: native[last]}
    with pytest.raises(AssertionError, match="exit status 2"):
        digests(programs.native(), "sse9")


@pytest.mark.exhaustive
def test_aarch64(native):
    found = digests(programs.aarch64())
    assert list(found) == ["portable", "neon"]
    assert found["portable"] == native["portable"]
    assert found["neon"] == native["portable"]


@pytest.mark.exhaustive
def test_a_big_endian_machine(native):
    assert digests(programs.emulated("s390x")) == {"portable": native["portable"]}


@pytest.mark.exhaustive
def test_a_32_bit_machine(native):
    """It has no rows of 2^32 columns, whose last ones the other machines print."""
    lines = [line for line in native["portable"] if "last columns" not in line]
    assert len(lines) == len(native["portable"]) - 8
    assert digests(programs.emulated("i686")) == {"portable": lines}


OPTIONS = {
    "link-time optimization": "-Db_lto=true",
    "x86-64-v3": "-Dc_args=-march=x86-64-v3",
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", OPTIONS)
def test_other_builds(native, case):
    if "march=" in OPTIONS[case] and "avx2" not in native:
        pytest.skip(f"{case} not tested: no processor of x86-64-v3, or its AVX2 is hidden")
    assert digests(programs.variant(OPTIONS[case])) == native


def fnv_1a(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{digest:016x}"


LINE = re.compile(
    r"(\w+)_(u|f|bf)(16|32|64)\((.+)\) (start=0 n=1000|(?:spans|keyed)=(\d+)x(\d+)) (\w+)"
)


def test_the_program_and_the_package_agree(native):
    """They are compiled apart, so this makes what test_reference.py shows hold for digest.c too."""
    compared = Counter()
    for line in native["portable"]:
        fields = LINE.fullmatch(line)
        if not fields:
            continue
        distribution, code, width, numbers, how, count, length, digest = fields.groups()
        dtype = {"u": "uint", "f": "float", "bf": "bfloat"}[code] + width
        parameters = () if distribution == "bits" else tuple(map(float, numbers.split(",")))
        start, n, keyed = 0, 1000, how.startswith("keyed")
        if count:
            start = np.arange(int(count), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            start >>= np.uint64(not keyed)
            start[-1] = 2**64 - (1 if keyed else int(length))
            n = int(count) * int(length)
        if n < 3000:  # Python takes seconds for the digests of more.
            found = fill(distribution, dtype, start, n, SEED, parameters, keyed=keyed)
            assert fnv_1a(found.tobytes()) == digest
            compared[how.split("=")[0]] += 1
    assert compared == {"start": 47, "spans": 4 * 47, "keyed": 4 * 47}


def test_the_last_columns_of_a_row_of_2_32(native):
    """No array has room for such a row: these are 40 elements of each of some types."""
    lines = [line.split() for line in native["portable"] if "last columns" in line]
    assert len(lines) == 8
    for function, *_, found in lines:
        distribution, code = function.split("_")
        parameters = {"bits": (), "normal": (0.0, 1.0), "between": (0.0, 1.0, -1.0, 1.0)}
        dtype = {"u": "uint", "f": "float", "b": "bfloat"}[code[0]] + code.lstrip("ubf")
        expected = [
            reference.keyed_element(
                distribution, dtype, SEED, SEED, column, *parameters[distribution]
            )
            for column in range(2**32 - 40, 2**32)
        ]
        assert bytes.fromhex(found) == np.array(expected, dtype).tobytes()
