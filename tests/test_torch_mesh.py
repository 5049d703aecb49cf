"""initialize() gives the same bytes on any mesh of real processes; meshes.py has the cases.

In each case every process initializes the whole model, shards it, and compares the result with a
model that was sharded first.  Here the digests of the whole models are compared, too.

The last tests are quick: one process takes each place of a mesh in turn.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import meshes
import pytest
import torch
from meshes import CASES, SEED, digest
from torch import distributed
from torch.distributed import checkpoint
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch_models import MODELS, llama

from fastinit.torch import init, initialize

pytestmark = [pytest.mark.integration]

TIMEOUT = 90  # seconds; a world takes 10 to 30


@cache
def run(world, folder):
    """Run the processes of a world, once; return what they print if they fail."""
    folder.mkdir()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, meshes.__file__, str(rank), str(world), str(folder)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        outputs = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return "".join(
        f"process {rank}: exit status {process.returncode}\n{output}"
        for rank, (process, output) in enumerate(zip(processes, outputs, strict=True))
        if process.returncode
    )


def found(world, folder):
    """Return what each process of a world found in its cases."""
    failure = run(world, folder)
    assert not failure, failure
    return [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(world)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("worlds")


@cache
def digest_of(name):
    return digest(initialize(MODELS[name](), SEED))


@pytest.mark.parametrize(
    ("world", "name"), [(world, name) for world, cases in CASES.items() for name in cases]
)
def test_case(world, name, folder):
    results = [result[name] for result in found(world, folder / str(world))]
    for rank, (error, _) in enumerate(results):
        assert not error, f"process {rank} of {world}:\n{error}"
    assert len({digest for _, digest in results}) == 1
    model = name.removesuffix(" emptied").removesuffix(" memory")
    if model in MODELS:
        assert results[0][1] == digest_of(model)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_checkpoint_of_four_processes_is_loaded_on_one(folder):
    found(4, folder / "4")
    model = initialize(llama(), SEED + 1)
    state = model.state_dict()
    checkpoint.load(state, checkpoint_id=folder / "4" / "checkpoint", no_dist=True)
    model.load_state_dict(state)
    assert digest(model) == digest(initialize(llama(), SEED))
    assert torch.isfinite(model.lm_head.weight).all()


@pytest.mark.parametrize("name", ["normal_", "trunc_normal_", "orthogonal_", "eye_"])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (0, 0)], ids=str)
def test_each_process_has_its_part(name, axes):
    """Sizes that do not divide evenly leave some processes less, and some nothing."""
    seed = {} if name == "eye_" else {"seed": SEED}
    whole = getattr(init, name)(torch.zeros(10, 3), **seed)
    sizes = {1: (4,), 2: (2, 2)}[len(axes)]
    for rank in range(4):
        # The processes of this group are not there; what is sent to them is lost.
        distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=4)
        try:
            mesh = distributed.init_device_mesh("cpu", sizes)
            shards = [Shard(axis) for axis in axes]
            tensor = distribute_tensor(torch.zeros(10, 3), mesh, shards)
            found = getattr(init, name)(tensor, **seed).to_local()
        finally:
            distributed.destroy_process_group()
        expected = whole
        for axis, size, place in zip(
            axes, sizes, divmod(rank, 2) if axes[1:] else [rank], strict=True
        ):
            parts = expected.chunk(size, axis)
            expected = parts[place] if place < len(parts) else expected.narrow(axis, 0, 0)
        assert found.shape == expected.shape
        assert torch.equal(found, expected)
