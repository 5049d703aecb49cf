"""dask, JAX, zarr and PyTorch's DTensor, each with its parts of a lazy array, give the one array.

A PyTorch model is the same on any mesh.  The scripts of docs/examples run here, each in a
process of its own, with the real library.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fills import assert_same_bits

import fastinit

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS / "examples"
pytestmark = [pytest.mark.integration]


def run(*arguments, folder):
    # What is set for the tests is not set for the users of the examples.
    env = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    if sys.platform == "linux":
        env["GLOO_SOCKET_IFNAME"] = "lo"  # else by the host's name, which may be unknown
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def expected(shape, dtype):
    return fastinit.truncated_normal(shape, stddev=0.05, seed=1, dtype=dtype)


def of_file(path, dtype):
    array = np.load(path)
    if dtype == "bfloat16":  # of which files know the size alone
        assert array.dtype.itemsize == 2
        return array.view(ml_dtypes.bfloat16)
    return array


def run_example(name, folder):
    """Run a script and check the one line that it prints."""
    line = run(EXAMPLES / name, folder=folder)
    assert re.fullmatch(r"float32( and bfloat16)?: .+ equal the (array|tensor) of .+", line)


def test_dask(tmp_path):
    run_example("dask_array.py", tmp_path)
    for dtype in ("float32", "bfloat16"):
        assert_same_bits(
            of_file(tmp_path / f"dask_{dtype}.npy", dtype), expected((3000, 1001), dtype)
        )


def test_jax(tmp_path):
    run_example("jax_sharding.py", tmp_path)
    for dtype in ("float32", "bfloat16"):
        assert_same_bits(
            of_file(tmp_path / f"jax_{dtype}.npy", dtype), expected((1024, 386), dtype)
        )


def test_a_tree_of_jax_is_the_same_for_every_sharding(tmp_path):
    printed = run(EXAMPLES / "jax_mesh.py", folder=tmp_path)
    digests = re.findall(r"(?m): ([0-9a-f]{16})$", printed)
    assert len(digests) == 4
    assert len(set(digests)) == 1
    # The page shows this output.
    assert f"```text\n{printed}\n```\n" in (DOCS / "jax.md").read_text(encoding="utf-8")


def test_zarr(tmp_path):
    run_example("zarr_regions.py", tmp_path)
    read = "import numpy, zarr; numpy.save('all.npy', zarr.open_array('weights.zarr', mode='r')[:])"
    run("-c", read, folder=tmp_path)
    assert_same_bits(of_file(tmp_path / "all.npy", "float32"), expected((3000, 1001), "float32"))


def test_torch(tmp_path):
    run_example("torch_dtensor.py", tmp_path)
    read = """
import numpy, torch
for dtype, word in ("float32", torch.int32), ("bfloat16", torch.int16):
    tensor = torch.load(f"torch_{dtype}.pt")
    assert tensor.dtype == getattr(torch, dtype)
    numpy.save(f"{dtype}.npy", tensor.view(word).numpy())
"""
    run("-c", read, folder=tmp_path)
    for dtype in ("float32", "bfloat16"):
        found = of_file(tmp_path / f"{dtype}.npy", dtype).view(dtype)
        assert_same_bits(found, expected((1001, 259), dtype))


def test_a_model_is_the_same_on_one_process_and_on_four(tmp_path):
    printed = run(EXAMPLES / "torch_mesh.py", folder=tmp_path)
    digests = re.findall(r"(?m): ([0-9a-f]{16})$", printed)
    assert len(digests) == 3
    assert len(set(digests)) == 1
    # The page shows this output.
    assert f"```text\n{printed}\n```\n" in (DOCS / "pytorch.md").read_text(encoding="utf-8")


def test_dask_asks_for_no_more_than_it_needs(tmp_path):
    """Names of equal arrays are equal in any process, and naming one makes no elements."""
    code = """
import dask, dask.array as da, numpy as np
from fastinit import initializers

dask.config.set({"tokenize.ensure-deterministic": True})
made = [
    da.from_array(initializers.TruncatedNormal(stddev=0.05, seed=s).lazy((2**40, 128)), chunks=c)
    for s, c in ((1, (2**30, 128)), (1, (2**30, 128)), (2, (2**30, 128)))
]
print(*[array.name for array in made])
np.save("rows.npy", made[0][2**39 : 2**39 + 3][:, [5, 1]].compute())
"""
    first, second = (run("-c", code, folder=tmp_path).split() for _ in range(2))
    assert first == second
    assert first[0] == first[1] != first[2]
    lazy = fastinit.initializers.TruncatedNormal(stddev=0.05, seed=1).lazy((2**40, 128))
    assert_same_bits(np.load(tmp_path / "rows.npy"), lazy[2**39 : 2**39 + 3][:, [5, 1]])


def test_every_example_is_listed_and_run():
    pages = [DOCS / "lazy-arrays.md", DOCS / "pytorch.md", DOCS / "jax.md"]
    listed = "".join(page.read_text(encoding="utf-8") for page in pages)
    tests = Path(__file__).read_text(encoding="utf-8")
    for script in EXAMPLES.glob("*.py"):
        assert f"(examples/{script.name})" in listed
        assert f'"{script.name}"' in tests


def test_no_block_of_the_page_writes_a_file_of_a_script():
    """A reader may run both in one folder."""
    page = (DOCS / "lazy-arrays.md").read_text(encoding="utf-8")
    files = re.findall(r"`([\w.]+\.(?:npy|pt|zarr))`", page)
    assert len(files) == 7
    blocks = "".join(re.findall(r"(?ms)^```.*?^```$", page))
    assert "create_array(" in blocks
    assert not [name for name in files if name in blocks]
