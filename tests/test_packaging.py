"""The package without docstrings, without metadata, or without site-packages."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import copy_package, run_python

import fastinit

USE = """
import sys
import fastinit
from fastinit import initializers
from fastinit._cli.main import main

for entry in fastinit.__all__:
    assert getattr(fastinit, entry) is not None
w = initializers.get("he_normal")(shape=(3, 2))
lazy = initializers.TruncatedNormal(seed=1).lazy((100, 5))
assert (lazy[[7, 3]] == fastinit.truncated_normal((100, 5), seed=1)[[7, 3]]).all()
fastinit.orthogonal((4, 4), seed=1)
try:
    fastinit.random_normal((2, 2), stddev=-1)
except ValueError as error:
    assert "stddev must be >= 0" in str(error)
else:
    raise SystemExit("no error")
arguments = ["--init", "he_normal", "--shape", "30x20", "--seed", "1", "--quiet"]
if main(["create", sys.argv[1], *arguments]):
    raise SystemExit("failed")
try:
    main(["create", "--help"])
except SystemExit:
    pass
print(fastinit.__version__)
"""


@pytest.mark.parametrize("optimize", ["1", "2"])
def test_without_asserts_and_docstrings(tmp_path, optimize):
    printed = run_python(USE, tmp_path / "w.npy", PYTHONOPTIMIZE=optimize)
    assert printed.splitlines()[-1] == fastinit.__version__
    assert (np.load(tmp_path / "w.npy") == fastinit.he_normal((30, 20), seed=1)).all()


def test_a_copy_without_metadata(tmp_path):
    """Only the folders of the packages are there, as where an application is frozen."""
    code = copy_package(tmp_path) + USE.replace("sys.argv[1]", "sys.argv[2]")
    printed = run_python(code, tmp_path, tmp_path / "w.npy", PYTHONPATH=str(tmp_path))
    assert printed.splitlines()[-1] == fastinit.__version__


@pytest.mark.skipif(sys.platform != "linux", reason="the build differs elsewhere")
def test_the_metadata_have_the_same_version():
    from importlib.metadata import version

    assert version("fastinit-kernels") == fastinit.__version__


def test_the_documents_have_the_same_version():
    """Releasing changes it in three files."""
    root = Path(__file__).parents[1]
    build = re.search(r"^  version: '(.+)'", (root / "meson.build").read_text(), re.M)
    citation = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(), re.M)
    # "[Unreleased]: 0.1.0" becomes "[0.1.0]: 2026-12-01".
    heading = re.search(r"^## \[.+", (root / "CHANGELOG.md").read_text(), re.M)
    assert build[1] == citation[1] == fastinit.__version__
    assert re.findall(r"\d+\.\d+\.\d+", heading[0]) == [fastinit.__version__]
