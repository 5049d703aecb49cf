"""Processes that initialize models on meshes, for test_torch_mesh: each world runs all its cases.

``python meshes.py RANK WORLD FOLDER`` is one process.  It writes what it found to a file in the
folder: for each case an error, or "" and the digest of the whole model.
"""

import functools
import hashlib
import json
import os
import sys
import traceback
import warnings
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)
from torch_models import MODELS, Encoder, Even, Feed, Parts, Pipeline, layers_of, llama, on_meta

from fastinit.torch import init, initialize

SEED = 5


def tensors(model):
    found = dict(model.named_parameters(remove_duplicate=False))
    found.update(model.named_buffers(remove_duplicate=False))
    for wrapper in ("_checkpoint_wrapped_module.", "_orig_mod.", "_fsdp_wrapped_module."):
        found = {name.replace(wrapper, ""): tensor for name, tensor in found.items()}
    return found


def as_bytes(tensor):
    tensor = tensor.detach()
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return local.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def digest(model):
    found = hashlib.sha256()
    for name, tensor in sorted(tensors(model).items()):
        found.update(name.encode() + as_bytes(tensor))
    return found.hexdigest()


def assert_same_parts(found, expected, some=False):
    """Compare the bytes of this process, and the placements."""
    found, expected = tensors(found), tensors(expected)
    assert found
    assert some or set(found) == set(expected)
    for name, tensor in found.items():
        other = expected[name]
        assert type(tensor) is type(other) or isinstance(tensor, nn.Parameter), name
        assert isinstance(tensor, DTensor) == isinstance(other, DTensor), name
        if isinstance(tensor, DTensor):
            assert tensor.placements == other.placements, name
        assert tensor.shape == other.shape, name
        assert tensor.dtype == other.dtype, name
        assert as_bytes(tensor) == as_bytes(other), name


def shard_layers(model, mesh=None, **options):
    for layer in layers_of(model):
        fully_shard(layer, mesh=mesh, **options)
    return fully_shard(model, mesh=mesh, **options)


def compare(build, shard, seed=SEED, how="meta", **options):
    """Require that sharding and initializing commute; return the digest of the whole model."""
    whole = initialize(build(), seed, **options)
    found = digest(whole)
    expected = shard(whole)
    model = shard(build() if how == "memory" else on_meta(build))
    if how == "emptied":
        model.to_empty(device="cpu")
        for tensor in tensors(model).values():
            local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
            local.detach().reshape(-1).view(torch.uint8).fill_(0xA5)
    state = torch.get_rng_state()
    assert initialize(model, seed, **options) is model
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_parts(model, expected)
    return found


# Tensor parallelism, by the names of modules.
FEED = {"embed": RowwiseParallel(), "up": ColwiseParallel(), "down": RowwiseParallel()}
LLAMA = {
    "model.embed_tokens": RowwiseParallel(),
    "model.layers.*.self_attn.q_proj": ColwiseParallel(),
    "model.layers.*.self_attn.k_proj": ColwiseParallel(),
    "model.layers.*.self_attn.v_proj": ColwiseParallel(),
    "model.layers.*.self_attn.o_proj": RowwiseParallel(),
    "model.layers.*.mlp.gate_proj": ColwiseParallel(),
    "model.layers.*.mlp.up_proj": ColwiseParallel(),
    "model.layers.*.mlp.down_proj": RowwiseParallel(),
    "model.norm": SequenceParallel(),
    "lm_head": ColwiseParallel(),
}


def shard_rest(model, mesh, axis=0):
    """Shard the remaining parameters along one dimension."""
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and not isinstance(parameter, DTensor):
                cut = distribute_tensor(parameter.data, mesh, [Shard(axis % parameter.ndim)])
                module._parameters[name] = nn.Parameter(cut, parameter.requires_grad)
    return model


def tensor_parallel(plan, model, rest=False):
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    parallelize_module(model, mesh, plan)  # unties weights
    return shard_rest(model, mesh, rest) if rest is not False else model


def both(plan, model, shape=(2, 2)):
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("data", "tensor"))
    parallelize_module(model, mesh["tensor"], plan)  # unties weights
    return shard_layers(model, mesh["data"])


def hybrid(model):
    return shard_layers(model, init_device_mesh("cpu", (2, 2), mesh_dim_names=("copy", "shard")))


def by_columns(model):
    def place(parameter):
        return Shard(parameter.ndim - 1) if parameter.shape[-1] % size == 0 else Shard(0)

    size = distributed.get_world_size()
    return shard_layers(model, shard_placement_fn=place)


CASES = {}


def case(*worlds):
    def register(function):
        for world in worlds:
            CASES.setdefault(world, {})[function.__name__] = function
        return function

    return register


for _world in (1, 2, 3, 4):
    for _name, _build in MODELS.items():
        CASES.setdefault(_world, {})[_name] = functools.partial(compare, _build, shard_layers)
for _world in (2, 3):
    for _how in ("emptied", "memory"):
        for _name in ("encoder", "llama", "gpt2", "parts"):
            CASES[_world][f"{_name} {_how}"] = functools.partial(
                compare, MODELS[_name], shard_layers, how=_how
            )
for _world in (2, 3, 4):
    CASES[_world] |= {
        "tensor parallel": functools.partial(
            compare, Feed, functools.partial(tensor_parallel, FEED, rest=0)
        ),
        "tensor parallel by columns": functools.partial(
            compare, Feed, functools.partial(tensor_parallel, FEED, rest=-1)
        ),
        "tensor parallel with memory": functools.partial(
            compare, Feed, functools.partial(tensor_parallel, FEED), how="memory"
        ),
        "tensor parallel llama": functools.partial(
            compare, llama, functools.partial(tensor_parallel, LLAMA)
        ),
    }
CASES[2]["by columns"] = functools.partial(compare, Encoder, by_columns)
CASES[3]["by columns"] = functools.partial(compare, Parts, by_columns)
CASES[4] |= {
    "both": functools.partial(compare, Even, functools.partial(both, FEED)),
    "both, sizes that do not divide": functools.partial(
        compare, Feed, functools.partial(both, FEED)
    ),
    "both, with memory": functools.partial(
        compare, Feed, functools.partial(both, FEED), how="memory"
    ),
    "both, one of data": functools.partial(
        compare, Feed, functools.partial(both, FEED, shape=(1, 4))
    ),
    "both, llama": functools.partial(compare, llama, functools.partial(both, LLAMA)),
    "both, untied llama": functools.partial(
        compare, functools.partial(llama, False), functools.partial(both, LLAMA)
    ),
    "copies of shards": functools.partial(compare, Parts, hybrid),
}


@case(2, 3, 4)
def pipeline():
    rank, world = distributed.get_rank(), distributed.get_world_size()
    whole = initialize(Pipeline(), SEED)
    stage = initialize(on_meta(lambda: Pipeline(rank, world)), SEED)
    assert_same_parts(stage, whole, some=True)
    return digest(whole)


@case(2, 3)
def pipeline_of_llama():
    rank, world = distributed.get_rank(), distributed.get_world_size()
    whole = initialize(llama(False), SEED)
    stage = on_meta(lambda: llama(False))
    if rank > 0:
        stage.model.embed_tokens = None
        del stage.model.layers[0]
        stage.model.layers = nn.ModuleDict({"1": stage.model.layers[0]})
    if rank < world - 1:
        stage.lm_head = None
    initialize(stage, SEED)
    assert_same_parts(stage, whole, some=True)
    return digest(whole)


@case(2, 3)
def table_of_rules():
    rules = {
        "*norm*.weight": 1,
        "*.bias": functools.partial(nn.init.uniform_, a=-0.5, b=0.5),
        "*.in_proj_bias": 0.25,
        "encoder.layers.1.*": init.orthogonal_,
        "head.*": functools.partial(init.trunc_normal_, std=0.02),
        "*": nn.init.xavier_normal_,
    }
    return compare(Encoder, shard_layers, init=rules)


@case(2, 3)
def function_of_a_module():
    def init_module(module):
        for parameter in module.parameters(recurse=False):
            nn.init.normal_(parameter, std=0.02)
            parameter.mul_(torch.rand(()))
        if getattr(module, "padding_idx", None) is not None:
            module.weight[module.padding_idx].zero_()

    return compare(Encoder, shard_layers, init=init_module)


@case(2)
def a_ddp_wrapper():
    whole = initialize(Encoder(), SEED)
    model = nn.parallel.DistributedDataParallel(Encoder())
    initialize(model, SEED)
    assert_same_parts(model.module, whole)
    return digest(whole)


@case(2)
def wrapped_layers():
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    def wrap(model):
        for number in range(2):
            model.encoder.layers[number] = checkpoint_wrapper(model.encoder.layers[number])
        model.head = torch.compile(model.head)
        return shard_layers(model)

    whole = initialize(Encoder(), SEED)
    found = digest(whole)
    assert_same_parts(initialize(wrap(on_meta(Encoder)), SEED), shard_layers(whole))
    return found


@case(4)
def a_mesh_of_two_of_four():
    mesh = DeviceMesh("cpu", [0, 1])

    def cut(model):
        for module in model.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None:
                    part = distribute_tensor(parameter.data, mesh, [Shard(0)], src_data_rank=None)
                    module._parameters[name] = nn.Parameter(part, parameter.requires_grad)
        return model

    return compare(Parts, cut)


def _gather_errors(function):
    try:
        function()
    except (ValueError, TypeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@case(2)
def no_seed():
    model = on_meta(Encoder)
    error = _gather_errors(lambda: initialize(model, None))
    assert error.startswith("ValueError: seed must be given where there are several"), error
    assert all(parameter.is_meta for parameter in model.parameters())


@case(2)
def a_sum_has_no_parts():
    mesh = init_device_mesh("cpu", (2,))
    model = nn.Linear(3, 2)
    model.bias = nn.Parameter(DTensor.from_local(torch.full((2,), 3.0), mesh, [Partial()]))
    before = model.weight.detach().clone()
    error = _gather_errors(lambda: initialize(model, 1))
    assert error.startswith("ValueError: bias: a DTensor must be sharded or replicated"), error
    assert torch.equal(model.weight, before)


@case(3)
def what_is_not_written_is_named():
    class Half(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.first = nn.Parameter(torch.empty(7, 3))
            self.second = nn.Parameter(torch.empty(7, 3))
            self.size = size

        def reset_parameters(self):
            nn.init.normal_(self.first)
            nn.init.normal_(self.second[: self.size])
            nn.init.normal_(self.second[: self.size])

    compare(lambda: Half(7), fully_shard)
    error = _gather_errors(lambda: initialize(fully_shard(on_meta(lambda: Half(6))), 1))
    rank = distributed.get_rank()  # the last row is on the last process
    assert error.startswith("RuntimeError: nothing has written second:" if rank == 2 else "no"), (
        error
    )


@case(2)
def views_after_their_tensor():
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(5, 3))

        def reset_parameters(self):
            row = self.weight[0]
            nn.init.normal_(self.weight)
            nn.init.zeros_(row)

    error = _gather_errors(lambda: initialize(fully_shard(on_meta(Late)), 1))
    assert error.startswith("RuntimeError: a view of the sharded weight was written after"), error


@case(2)
def after_an_exception():
    def fails(module):
        nn.init.normal_(module.weight)
        torch.rand(3)
        raise KeyError("stop")

    model = fully_shard(on_meta(lambda: nn.Linear(3, 5)))
    code, state = nn.init.trunc_normal_.__code__, torch.get_rng_state()
    try:
        initialize(model, 1, fails)
    except KeyError:
        pass
    else:
        raise AssertionError("no error")
    assert nn.init.trunc_normal_.__code__ is code
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.overrides._get_current_function_mode_stack()


@case(2, 3)
def training_goes_on():
    """A sharded model runs forward and backward, with the loss of the whole model."""
    whole = initialize(Encoder(), SEED)
    model = initialize(shard_layers(on_meta(Encoder)), SEED)
    losses = []
    for each in (whole, model):
        each.eval()
        x = each.embed(torch.arange(11)[None]) if each is whole else None
        out = each.head(each.encoder(x)) if each is whole else _forward(each)
        losses.append(out.square().mean())
        losses[-1].backward()
    assert torch.allclose(losses[0], losses[1], rtol=1e-5)


def _forward(model):
    type(model).forward = lambda self: self.head(self.encoder(self.embed(torch.arange(11)[None])))
    return model()


@case(4)
def saved_and_loaded():
    folder = Path(sys.argv[3]) / "checkpoint"
    save = initialize(shard_layers(on_meta(llama)), SEED)
    checkpoint.save(save.state_dict(), checkpoint_id=folder)
    load = both(LLAMA, llama())
    state = load.state_dict()
    checkpoint.load(state, checkpoint_id=folder)
    load.load_state_dict(state)
    expected = initialize(both(LLAMA, on_meta(llama)), SEED)
    assert_same_parts(load, expected)
    return digest(initialize(llama(), SEED))


def main(rank, world, folder):
    # FSDP and DTensor warn about other devices and later versions.
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world
    )
    found = {}
    only = os.environ.get("CASES")
    for name, run in CASES[world].items():
        if only and name not in only.split(";"):
            continue
        torch.manual_seed(rank)  # the processes must not depend on it
        try:
            found[name] = ["", run() or ""]
        except Exception:  # the test reports it
            found[name] = [traceback.format_exc(), ""]
        errors = [None] * world
        distributed.all_gather_object(errors, bool(found[name][0]))
    distributed.barrier()
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    distributed.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads sometimes abort a process that exits normally


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
