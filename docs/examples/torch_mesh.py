"""Initialize a Llama of two layers on one process and on four, and print a digest of each model.

All digests are equal.  It needs PyTorch 2.6 or later and transformers 5 or later, and downloads
nothing.
"""

import hashlib
import tempfile

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from transformers import LlamaConfig, LlamaForCausalLM

import fastinit.torch

# Four does not divide the sizes 1001 and 166.
CONFIG = LlamaConfig(
    vocab_size=1001,
    hidden_size=88,
    intermediate_size=166,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)

TENSOR_PARALLEL = {
    "model.layers.*.self_attn.[qkv]_proj": ColwiseParallel(),
    "model.layers.*.self_attn.o_proj": RowwiseParallel(),
    "model.layers.*.mlp.gate_proj": ColwiseParallel(),
    "model.layers.*.mlp.up_proj": ColwiseParallel(),
    "model.layers.*.mlp.down_proj": RowwiseParallel(),
}


def model_without_memory():
    """Return the model on ``meta``."""
    with torch.device("meta"):
        return LlamaForCausalLM(CONFIG)


def shard(model, mesh):
    """Shard the model, so that each process of the mesh holds a part of every parameter."""
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def digest(model):
    """Return a hash of the names and the bytes of all parameters, each as a whole."""
    found = hashlib.sha256()
    for name, parameter in model.named_parameters():
        whole = parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter
        found.update(name.encode())
        found.update(whole.detach().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()[:16]


def main(rank, store):
    """Run one of the four processes."""
    dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=4)

    model = model_without_memory()
    shard(model, dist.init_device_mesh("cpu", (4,)))
    fastinit.torch.initialize(model, seed=0)
    fully_sharded = digest(model)

    mesh = dist.init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    model = model_without_memory()
    parallelize_module(model, mesh["tensor"], TENSOR_PARALLEL)
    shard(model, mesh["data"])
    fastinit.torch.initialize(model, seed=0)
    both = digest(model)

    if rank == 0:
        print("four processes, sharded:", fully_sharded)
        print("2 x 2 processes, sharded and tensor parallel:", both)
    dist.barrier()  # A process that left now could end another that still sends to it.
    dist.destroy_process_group()


if __name__ == "__main__":
    print("one process:", digest(fastinit.torch.initialize(model_without_memory(), seed=0)))
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(main, (f"{folder}/store",), nprocs=4)
