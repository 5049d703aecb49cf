"""What `fastinit create` writes, read by the library safetensors."""

import ml_dtypes  # for NumPy to know bfloat16 by its name
import numpy as np
import pytest
from fills import FLOATS, assert_same_bits
from safetensors import safe_open
from safetensors.numpy import load_file

import fastinit
from fastinit._cli.main import main

pytestmark = pytest.mark.integration
OPTIONS = ["--init", "truncated_normal", "--shape", "1000x33", "--seed", "7", "--quiet"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_values(tmp_path, dtype):
    path = str(tmp_path / "a.safetensors")
    assert main(["create", path, *OPTIONS, "--dtype", dtype, "--name", "a.b"]) == 0
    found = load_file(path)
    assert list(found) == ["a.b"]
    assert found["a.b"].dtype == np.dtype(dtype) or found["a.b"].dtype == ml_dtypes.bfloat16
    assert_same_bits(found["a.b"], fastinit.truncated_normal((1000, 33), seed=7, dtype=dtype))


def test_the_metadata(tmp_path):
    path = str(tmp_path / "a.safetensors")
    assert main(["create", path, *OPTIONS]) == 0
    with safe_open(path, "np") as file:
        assert list(file.keys()) == ["weight"]
        assert file.metadata()["seed"] == "7"
