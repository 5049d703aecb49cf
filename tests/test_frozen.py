"""An application that PyInstaller froze: there is no metadata, and no source."""

import subprocess
import sys

import pytest

import fastinit

pytestmark = pytest.mark.integration

APPLICATION = """
import fastinit
from fastinit import initializers
print(fastinit.__version__, initializers.HeNormal(seed=1)(shape=(3, 2)).tobytes().hex())
print(fastinit.truncated_normal(1 << 21, seed=1, dtype="bfloat16").dtype)
"""


def test_frozen(tmp_path):
    script = tmp_path / "application.py"
    script.write_text(APPLICATION)
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=ERROR"]
    # What an application does not use need not be packed.
    command += [f"--exclude-module={name}" for name in ("scipy", "torch", "jax", "keras")]
    done = subprocess.run([*command, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    frozen = tmp_path / "dist" / "application" / "application"
    printed = subprocess.run([frozen], capture_output=True, text=True, check=True).stdout
    values = fastinit.he_normal((3, 2), seed=1).tobytes().hex()
    assert printed.split() == [fastinit.__version__, values, "bfloat16"]
