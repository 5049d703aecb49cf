"""Build and run the C programs of tests/c, for this machine and for AArch64, which is emulated."""

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

CROSS_FILE = Path(__file__).with_name("c") / "aarch64.ini"
CROSS_TOOLS = ("aarch64-linux-gnu-gcc", "qemu-aarch64-static")

_built = []  # directories that are removed at the end of the process


def _build(*options):
    """Build with the Meson and Ninja of this Python, which need not be on the PATH."""
    _built.append(TemporaryDirectory(prefix="fastinit-programs-"))
    directory = _built[-1].name
    scripts = sysconfig.get_path("scripts")
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    for command in (
        [*meson, "setup", directory, str(ROOT), "-Dprograms=true", *options],
        [*meson, "compile", "-C", directory],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return Path(directory) / "tests" / "c"


@cache
def native():
    """Return the emulator (none) and the directory of the programs for this processor."""
    return [], _build()


@cache
def aarch64():
    """Return the same for AArch64; skip the test where compiler or emulator are not installed."""
    missing = [tool for tool in CROSS_TOOLS if not shutil.which(tool)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"NEON kernels not tested, not installed: {', '.join(missing)}")
    return [CROSS_TOOLS[1]], _build("--cross-file", str(CROSS_FILE))


def run(machine, program, *arguments, data=None):
    """Return what a program prints, on the machine that native() or aarch64() returned."""
    emulator, directory = machine
    command = [*emulator, str(directory / program), *map(str, arguments)]
    done = subprocess.run(command, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode() or f"exit status {done.returncode}"
    return done.stdout
