"""Run code in a process of its own, for tests of signals, forks and pools of threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastinit


def run_python(code, *arguments, timeout=60, prefix=(), **environment):
    """Run code in a fresh interpreter and return what it prints; a variable of None is unset."""
    # Threads of other libraries would be counted with ours.
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    env.pop("OMP_NUM_THREADS", None)
    env.pop("FASTINIT_ISA", None)
    for name, value in environment.items():
        env[name] = value
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, *map(str, arguments)],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def copy_package(folder):
    """Copy the package without its metadata, and link NumPy; return what code has to begin with.

    The code is then run with the folder as its first argument and as PYTHONPATH.
    """
    shutil.copytree(Path(fastinit.__file__).parent, folder / "fastinit")
    # A wheel that auditwheel has repaired keeps OpenMP's library beside the package.
    libraries = Path(fastinit.__file__).parents[1] / "fastinit_kernels.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for package in Path(np.__file__).parents[1].glob("numpy*"):
        if package.name in ("numpy", "numpy.libs"):
            (folder / package.name).symlink_to(package)
    return (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        "import fastinit\n"
        "assert fastinit.__file__.startswith(sys.argv[1]), fastinit.__file__\n"
    )


def mount_prefix(tmp_path):
    """Return a command's prefix after which a disk can be mounted, or skip the test."""
    unshare = shutil.which("unshare")
    if not unshare:
        pytest.skip("a small disk cannot be mounted: no unshare")
    prefix = [unshare, "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    tried = subprocess.run([*prefix, *mount], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"a small disk cannot be mounted: {tried.stderr.strip()}")
    return prefix
