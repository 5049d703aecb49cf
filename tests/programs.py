"""Build and run the C programs of tests/c, for this machine and for others, which are emulated.

FASTINIT_PROGRAMS names a directory where those for this machine are already built.
"""

import atexit
import os
import shlex
import shutil
import signal
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


class _Build:
    """A build of these programs, or of all, with this Python's Meson and Ninja."""

    def __init__(self, *options, programs=()):
        _built.append(TemporaryDirectory(prefix="fastinit-programs-"))
        self.directory = _built[-1].name
        # Ninja is where Meson is, wherever the PATH goes.
        scripts = sysconfig.get_path("scripts")
        env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
        meson = shlex.join([sys.executable, "-m", "mesonbuild.mesonmain"])
        setup = shlex.join(["setup", self.directory, str(ROOT), "-Dprograms=true", *options])
        build = shlex.join(["compile", "-C", self.directory, *programs])
        self.process = subprocess.Popen(
            f"{meson} {setup} && {meson} {build}",
            shell=True,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.printed = None
        atexit.register(self.stop)

    def stop(self):
        """End it, if it still runs; Ninja ends its compilers when it gets this signal."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.communicate()

    def programs(self):
        """Return the directory of the programs, when they are built."""
        if self.printed is None:
            self.printed, _ = self.process.communicate()
        assert self.process.returncode == 0, self.printed
        return Path(self.directory) / "tests" / "c"


_begun = []  # the build for this processor, if it was begun early


def begin():
    """Begin to build for this processor, which takes half a minute, while other tests run."""
    if not _begun and "FASTINIT_PROGRAMS" not in os.environ:
        _begun.append(_Build())


@cache
def native():
    """Return the emulator (none) and the directory of the programs for this processor."""
    if built := os.environ.get("FASTINIT_PROGRAMS"):
        return [], Path(built)
    begin()
    return [], _begun[0].programs()


def variant(*options):
    """Return the same for a build of digest.c with other options of Meson."""
    return [], _Build(*options, programs=["digest"]).programs()


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
    return [tools[1]], _Build("--cross-file", str(cross_file), programs=programs).programs()


def aarch64():
    return emulated("aarch64")


def run(machine, program, *arguments, data=None):
    """Return what a program prints, on the machine that one of the functions above returned."""
    emulator, directory = machine
    command = [*emulator, str(directory / program), *map(str, arguments)]
    done = subprocess.run(command, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode() or f"exit status {done.returncode}"
    return done.stdout
