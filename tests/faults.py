"""Make calls of the C library fail, in a process of its own: see tests/c/faults.c."""

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from processes import run_python

SOURCES = Path(__file__).with_name("c")

needs_preloading = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc",
    reason="tests/c/faults.c is written for glibc",
)

_built = []  # directories that are removed at the end of the process


@cache
def compiled(source, *options):
    """Return the program or library that the C compiler makes of a file of tests/c."""
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler):
        if os.environ.get("CI") == "true":
            pytest.fail(f"not installed: {compiler}")
        pytest.skip(f"no fault is tested: there is no C compiler {compiler}")
    _built.append(TemporaryDirectory(prefix="fastinit-faults-"))
    file = Path(_built[-1].name) / Path(source).stem
    command = [compiler, "-O1", "-std=gnu11", "-Wall", "-Werror", SOURCES / source, *options]
    done = subprocess.run([*command, "-o", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(file)


# The constants are those of tests/c/faults.c.
_NAMES = """
import ctypes, errno, gc, os, signal, sys
MEMORY, THREADS, SPACE, STEPS = 1, 2, 4, 8
REFUSE, SHORTEN, KILL, TEAR = range(4)
arm, disarm = (getattr(ctypes.CDLL(None), f"faults_{name}") for name in ("arm", "disarm"))
arm.argtypes = [ctypes.c_int] * 2 + [ctypes.c_long] * 2 + [ctypes.c_int]
disarm.restype = ctypes.c_long
"""


def run_with_faults(code, *arguments, timeout=120, **environment):
    """Run code as run_python() does, with `arm` and `disarm` and the names of their arguments."""
    library = compiled("faults.c", "-shared", "-fPIC", "-ldl")
    # A file of bytecode is written in the same steps as others.
    environment = {"PYTHONDONTWRITEBYTECODE": "1", **environment}
    return run_python(_NAMES + code, *arguments, timeout=timeout, LD_PRELOAD=library, **environment)
