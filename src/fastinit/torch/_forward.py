"""Run a model once to record the outputs of its modules, and restore it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from .._messages import type_of
from .._report import PIECE, Moments
from .._seeds import derive_seed
from ._names import named_tensors, plain_name
from ._shards import is_distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._typing import Array


def check_model(model: Any) -> None:
    """Raise if a model cannot be inspected, before anything is changed."""
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, received {type_of(model)}")
    for name, tensor in named_tensors(model):
        if torch.nn.parameter.is_lazy(tensor):
            raise ValueError(f"{plain_name(name)} has no shape yet: run the model once")
        if is_distributed(tensor):
            raise ValueError(
                f"{plain_name(name)} is a DTensor, of which this process may have only a part: use "
                "the model before it is sharded"
            )


def check_values(model: Any) -> None:
    """Raise if a model cannot run because one of its tensors has no values."""
    for name, tensor in named_tensors(model):
        if tensor.is_meta:
            raise ValueError(
                f"{plain_name(name)} is on meta and has no values: initialize the model first"
            )


def owners(model: Any) -> list[tuple[Any, list[tuple[str, Any]]]]:
    """Return each parameter once, with its names and the module of each name.

    The parameters are in the order of the modules; the names of each are in alphabetical order.
    """
    found: dict[int, tuple[Any, dict[str, Any]]] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        for own, parameter in module._parameters.items():
            if parameter is not None:
                name = plain_name(f"{prefix}.{own}" if prefix else own)
                found.setdefault(id(parameter), (parameter, {}))[1][name] = module
    return [(parameter, sorted(names.items())) for parameter, names in found.values()]


def is_transposed(module: Any) -> bool:
    """Return whether the weight of a module is (in, out), as that of transformers' Conv1D."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nx") and hasattr(module, "nf")


def first_tensor(output: Any) -> Any | None:
    """Return the first tensor of floating-point numbers that has a dimension, or None.

    Tuples, lists, dictionaries and the outputs of transformers' models are searched.
    """
    if isinstance(output, torch.Tensor):
        plain = (
            output.is_floating_point()
            and output.layout == torch.strided
            and not output.is_nested
            and not torch._C._functorch.is_functorch_wrapped_tensor(output)  # within torch.vmap
        )
        return output if plain and output.ndim else None
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        for part in output:
            found = first_tensor(part)
            if found is not None:
                return found
    return None


def _parts(tensor: Any) -> Iterator[Any]:
    """Yield a tensor in C order, in parts of at most PIECE elements."""
    if tensor.numel() <= PIECE:
        yield tensor
    elif tensor.is_contiguous():
        yield from tensor.view(-1).split(PIECE)
    else:
        axis = next(number for number, size in enumerate(tensor.shape) if size > 1)
        step = max(1, PIECE * tensor.shape[axis] // tensor.numel())
        for part in tensor.split(step, axis):
            yield from _parts(part)


def pieces(tensor: Any) -> Iterator[Array]:
    """Yield the values of a tensor in C order, as arrays of float64 of at most PIECE elements.

    A complex number counts as two.
    """
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    for part in _parts(tensor):
        yield part.to("cpu", torch.float64).numpy()


def add_to(moments: Moments, tensor: Any) -> None:
    """Add the values of a tensor to moments."""
    for piece in pieces(tensor):
        moments.add(piece)


def _copied(value: Any) -> Any:
    """Return an argument of a model with copies of its tensors, which the model may overwrite."""
    if type(value) is torch.Tensor:
        return value.detach().clone().requires_grad_(value.requires_grad)
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if type(value) is dict:
        return {name: _copied(part) for name, part in value.items()}
    return value


def run(model: Any, inputs: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> Any:
    """Return the output of a model for copies of its arguments."""
    return model(*_copied(inputs), **_copied(dict(kwargs or {})))


def _eager() -> Any:
    """Return a context in which code that torch.compile has compiled runs uncompiled."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and importing it takes seconds
        return nullcontext()
    set_stance = getattr(torch.compiler, "set_stance", None)  # from PyTorch 2.6 on
    return nullcontext() if set_stance is None else set_stance("force_eager")


@contextmanager
def as_before(model: Any, seed: int) -> Iterator[None]:
    """Restore a model's buffers, modes and flags, and the state of generators, at the end.

    Within the context the generators are seeded, so that dropout is the same in every run, and
    compiled code runs uncompiled, so that hooks are called.
    """
    modules = list(model.modules())
    modes = [module.training for module in modules]
    tables = [dict(module._buffers) for module in modules]
    kept = {
        id(buffer): (buffer, buffer.detach().clone())
        for table in tables
        for buffer in table.values()
        if buffer is not None
    }
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices), _eager():
            word = derive_seed(seed, "forward()")
            torch.default_generator.manual_seed(word)
            for device in devices:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(word)
            yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module, mode, table in zip(modules, modes, tables, strict=True):
            module.training = mode
            module._buffers.clear()
            module._buffers.update(table)
        with torch.no_grad():
            for buffer, values in kept.values():
                if not torch.equal(buffer, values):
                    buffer.copy_(values)
