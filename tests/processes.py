"""Run code in a process of its own, for tests of signals, forks and pools of threads."""

import os
import shutil
import subprocess
import sys

import pytest


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
