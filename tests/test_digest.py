"""tests/digest.c here and, emulated, on AArch64: the same digests from every kernel."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from fills import fill
from reference import ROOT

from fastinit import STREAM_VERSION, _kernels

CROSS_FILE = Path(__file__).with_name("aarch64.ini")
CROSS_TOOLS = ("aarch64-linux-gnu-gcc", "qemu-aarch64-static")
FROZEN = "a6c88c161aebc7aada929a7d165b6f359fd9bc7001ded1cae09f85a8f86cfc5c"
FROZEN_ORTHOGONAL = "3ea1f26b2d37cdd759f2268f6ff7baa5e5e5a4082c80524ba3d8d55298a5f153"
SEED = 0x9E3779B97F4A7C15  # of digest.c


def build(directory, *options):
    """Build digest.c with the Meson and Ninja of this Python, which need not be on the PATH."""
    scripts = sysconfig.get_path("scripts")
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    for command in (
        [*meson, "setup", str(directory), str(ROOT), "-Ddigest=true", *options],
        [*meson, "compile", "-C", str(directory)],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return directory / "src" / "digest"


def digests(*command):
    """{ISA: its lines}; the program itself compares threads and rounding modes."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        isa, rest = line.split(" ", 1)
        found.setdefault(isa, []).append(rest)
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def native(program):
    return digests(program)


def test_every_kernel_here(native):
    assert list(native) == _kernels.isas()
    for lines in native.values():
        assert len(lines) > 700
        assert len(set(lines)) == len(lines)
        assert lines == native["portable"]


def test_version_1_of_the_stream_is_frozen(native):
    """A change of any bit is another stream: STREAM_VERSION, include/fastinit.h and this change
    with it.  (Nor may the cases of digest.c change, which are in the lines.)
    """
    assert STREAM_VERSION == 1
    matrices = [line for line in native["portable"] if line.startswith("orthogonal")]
    others = [line for line in native["portable"] if line not in matrices]
    assert hashlib.sha256("\n".join(others).encode()).hexdigest() == FROZEN
    assert hashlib.sha256("\n".join(matrices).encode()).hexdigest() == FROZEN_ORTHOGONAL


def test_one_kernel_alone(program, native):
    last = _kernels.isas()[-1]
    assert digests(program, last) == {last: native[last]}
    assert subprocess.run([program, "sse9"], capture_output=True).returncode != 0


def test_aarch64(native, tmp_path):
    missing = [tool for tool in CROSS_TOOLS if not shutil.which(tool)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"NEON kernels not tested, not installed: {', '.join(missing)}")
    program = build(tmp_path / "aarch64", "--cross-file", str(CROSS_FILE))
    found = digests("qemu-aarch64-static", program)
    assert list(found) == ["portable", "neon"]
    assert found["portable"] == native["portable"]
    assert found["neon"] == native["portable"]


def fnv_1a(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{digest:016x}"


def test_the_program_and_the_package_agree(native):
    """They are compiled apart; so what test_reference.py shows holds for digest.c too."""
    compared = 0
    for line in native["portable"]:
        fields = re.fullmatch(r"(\w+)_([uf])(32|64)\((.+),(.+)\) start=0 n=1000 (\w+)", line)
        if fields:
            kind, code, width, p, q, digest = fields.groups()
            dtype = {"u": "uint", "f": "float"}[code] + width
            parameters = () if kind == "bits" else (float(p), float(q))
            assert fnv_1a(fill(kind, dtype, 0, 1000, SEED, parameters).tobytes()) == digest
            compared += 1
    assert compared == 22
