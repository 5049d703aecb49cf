"""Build and run the C programs of tests/c, for this machine and for others, which are emulated.

FASTINIT_PROGRAMS names a directory where those for this machine are already built.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from reference import ROOT

# Each has a cross file of its name in tests/c, these tools, and what they test here.
MACHINES = {
    "aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64-static", "NEON kernels"),
    "i686": ("i686-linux-gnu-gcc", "qemu-i386-static", "32-bit machines"),
    "s390x": ("s390x-linux-gnu-gcc", "qemu-s390x-static", "big-endian machines"),
}

_built = []  # directories that are removed at the end of the process


def _build(*options, programs=()):
    """Build these programs, or all, with this Python's Meson and Ninja, wherever the PATH goes."""
    _built.append(TemporaryDirectory(prefix="fastinit-programs-"))
    directory = _built[-1].name
    scripts = sysconfig.get_path("scripts")
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    for command in (
        [*meson, "setup", directory, str(ROOT), "-Dprograms=true", *options],
        [*meson, "compile", "-C", directory, *programs],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return Path(directory) / "tests" / "c"


@cache
def native():
    """Return the emulator (none) and the directory of the programs for this processor."""
    built = os.environ.get("FASTINIT_PROGRAMS")
    return [], Path(built) if built else _build()


def variant(*options):
    """Return the same for a build of digest.c with other options of Meson."""
    return [], _build(*options, programs=["digest"])


@cache
def emulated(machine):
    """Return the same for a machine; skip the test where compiler or emulator are not installed."""
    *tools, tested = MACHINES[machine]
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"{tested} not tested, not installed: {', '.join(missing)}")
    cross_file = Path(__file__).with_name("c") / f"{machine}.ini"
    # The words of mocked.c are those of test_words.py, for NEON.
    programs = ["digest", "mocked"] if machine == "aarch64" else ["digest"]
    return [tools[1]], _build("--cross-file", str(cross_file), programs=programs)


def aarch64():
    return emulated("aarch64")


def run(machine, program, *arguments, data=None):
    """Return what a program prints, on the machine that one of the functions above returned."""
    emulator, directory = machine
    command = [*emulator, str(directory / program), *map(str, arguments)]
    done = subprocess.run(command, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode() or f"exit status {done.returncode}"
    return done.stdout
