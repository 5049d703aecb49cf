"""tests/c/digest.c prints the same digests of every kernel, here and on AArch64, emulated."""

import re

import programs
import pytest
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
        assert len(lines) > 700
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


def fnv_1a(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{digest:016x}"


def test_the_program_and_the_package_agree(native):
    """They are compiled apart, so this makes what test_reference.py shows hold for digest.c too."""
    compared = 0
    for line in native["portable"]:
        fields = re.fullmatch(r"(\w+)_(u|f|bf)(16|32|64)\((.+),(.+)\) start=0 n=1000 (\w+)", line)
        if fields:
            distribution, code, width, p, q, digest = fields.groups()
            dtype = {"u": "uint", "f": "float", "bf": "bfloat"}[code] + width
            parameters = () if distribution == "bits" else (float(p), float(q))
            assert fnv_1a(fill(distribution, dtype, 0, 1000, SEED, parameters).tobytes()) == digest
            compared += 1
    assert compared == 34
