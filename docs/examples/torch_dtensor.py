"""Make a DTensor over four processes, each of which fills its own shard.

It writes torch_float32.pt and torch_bfloat16.pt, and compares them with the tensor that one process
fills.  It needs PyTorch 2.5 or later, and ml_dtypes.
"""

import tempfile

import torch
import torch.distributed as dist
from torch.distributed.tensor import Shard, empty

import fastinit
from fastinit import initializers

SHAPE = (1001, 259)  # The mesh need not divide it.


def weights(mesh, dtype):
    """Return a DTensor, of which this process holds a shard."""
    lazy = initializers.TruncatedNormal(stddev=0.05, seed=1).lazy(SHAPE, dtype)
    tensor = empty(
        SHAPE, dtype=getattr(torch, dtype), device_mesh=mesh, placements=[Shard(0), Shard(1)]
    )
    (chunk,) = tensor.__create_chunk_list__()  # torch.distributed.checkpoint asks so, too.
    index = tuple(slice(i, i + n) for i, n in zip(chunk.offsets, chunk.sizes, strict=True))
    lazy.read(index, out=tensor.to_local())
    return tensor


def main(rank, store):
    """Run one of the four processes."""
    dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=4)
    mesh = dist.init_device_mesh("cpu", (2, 2))
    for dtype in ("float32", "bfloat16"):
        whole = weights(mesh, dtype).full_tensor()
        if rank == 0:
            torch.save(whole, f"torch_{dtype}.pt")
            alone = fastinit.truncated_normal(stddev=0.05, seed=1, out=torch.empty_like(whole))
            assert torch.equal(whole, alone)
    if rank == 0:
        print("float32 and bfloat16: the shards of four processes equal the tensor of one process")
    dist.barrier()  # A process that left now could end another that still sends to it.
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(main, (f"{folder}/store",), nprocs=4)
