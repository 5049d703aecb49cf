"""Run a model once to record the outputs of its layers, and restore it."""

from __future__ import annotations

import functools
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.utils.naming import to_snake_case

from .._messages import type_of
from .._report import PIECE, Moments
from .._seeds import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .._typing import Array

DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def einsum_axes(equation: str, ndim: int) -> tuple[list[int], list[int]]:
    """Return the axes of an EinsumDense's kernel that are summed, and those that are new."""
    terms, output = equation.split("->")
    inputs, kernel = terms.split(",")
    letters = list(enumerate(kernel.strip()[-ndim:]))
    summed = [axis for axis, letter in letters if letter not in output]
    return summed, [axis for axis, letter in letters if letter not in inputs]


def check_model(model: Any) -> None:
    """Raise if the argument is not a Keras model."""
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"model must be a keras.Model or a layer, received {type_of(model)}")


def layers_of(model: Any) -> list[Any]:
    """Return the layers of a model, each once, and the model itself first."""
    found: list[Any] = model._flatten_layers()
    return list(dict.fromkeys(found))


def name_of(model: Any, layer: Any) -> str:
    """Return the name of a layer in a report; that of the model itself is empty."""
    return "" if layer is model else layer.path or layer.name


def own_variables(layer: Any) -> list[Any]:
    """Return the weights of a layer itself, not those of the layers in it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def is_weight(variable: Any) -> bool:
    """Return whether a variable has two dimensions or more, as some biases do, and is not one."""
    return len(variable.shape) >= 2 and not variable.name.endswith("bias")


def build(model: Any, inputs: Any) -> None:
    """Make the weights of layers that have none yet."""
    if not all(layer.built for layer in layers_of(model)):
        model(inputs, training=False)


def is_values(tensor: Any) -> bool:
    """Return whether a tensor has values, which those in traced code do not have."""
    if not keras.ops.is_tensor(tensor) or isinstance(tensor, keras.KerasTensor):
        return False
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    return bool(hasattr(tensor, "numpy") and not getattr(tensor, "is_meta", False))


def first_tensor(output: Any) -> int | None:
    """Return which leaf is the first tensor of floating-point numbers that has a dimension."""
    for number, leaf in enumerate(keras.tree.flatten(output)):
        if keras.ops.is_tensor(leaf) and len(leaf.shape):
            dtype = keras.backend.standardize_dtype(leaf.dtype)
            if "float" in dtype:
                return number
    return None


def array_of(tensor: Any) -> Array:
    """Return the values of a tensor or a variable."""
    found: Array = keras.ops.convert_to_numpy(
        tensor.value if isinstance(tensor, keras.Variable) else tensor
    )
    return found


def pieces(tensor: Any) -> Iterator[Array]:
    """Yield the values of a tensor in C order, in arrays of at most PIECE elements."""
    values = array_of(tensor).reshape(-1)
    for at in range(0, values.size, PIECE):
        yield values[at : at + PIECE]


def add_to(moments: Moments, tensor: Any) -> None:
    """Add the values of a tensor to moments."""
    for piece in pieces(tensor):
        moments.add(piece)


@contextmanager
def replaced(
    layers: Iterable[Any], attribute: str, make: Callable[[Any, Any], Any]
) -> Iterator[None]:
    """Replace an attribute of each layer by what ``make(layer, attribute)`` returns.

    It is put into the dictionary of the instance, since Keras and the backends track assignments.
    """
    missing = object()
    before = []
    try:
        for layer in layers:
            new = make(layer, getattr(layer, attribute))
            before.append((layer, vars(layer).get(attribute, missing)))
            vars(layer)[attribute] = new
        yield
    finally:
        for layer, value in before:
            if value is missing:
                del vars(layer)[attribute]
            else:
                vars(layer)[attribute] = value


def around(function: Callable[..., Any], after: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function that passes its result through another one."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return after(function(*args, **kwargs))

    return call


@contextmanager
def _generators_of_torch(seed: int) -> Iterator[None]:
    """Seed PyTorch's generators, from which dropout draws on that backend, and restore them."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        yield


@contextmanager
def as_before(model: Any, seed: int, but: Iterable[Any] = ()) -> Iterator[None]:
    """Restore the variables that are not trained, and the states of Keras's generators, at exit.

    Within the context the generators have states that the seed determines, so that dropout is the
    same in every run.  ``but`` are variables that are not restored.
    """
    kept_out = {id(variable) for variable in but}
    variables = [v for v in model.variables if not v.trainable and id(v) not in kept_out]
    states = [v for v in variables if v.name == "seed_generator_state"]
    generator = global_state.get_global_attribute("global_seed_generator")
    if generator is not None:
        variables.append(generator.state)
        states.append(generator.state)
    values = [array_of(variable).copy() for variable in variables]
    try:
        for number, state in enumerate(states):
            word = derive_seed(seed, f"generator {number}()") >> 33  # all backends hold 31 bits
            state.assign(np.array([word, 0], keras.backend.standardize_dtype(state.dtype)))
        with _generators_of_torch(derive_seed(seed, "forward()")):
            yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        if generator is None:
            global_state.set_global_attribute("global_seed_generator", None)


def plain_paths(model: Any) -> dict[int, str]:
    """Return the paths of a model's weights, independent of the layers that were made before.

    Keras numbers the layers of a process that have no name: ``dense_7``.  Here those of the model
    are numbered, from 0 on.  The second weight of one path has the path ``"dense/kernel//1"``.
    """
    numbers: dict[str, dict[int, str]] = {}
    for layer in layers_of(model):
        prefix = to_snake_case(type(layer).__name__)
        found = re.fullmatch(rf"{prefix}(?:_(\d+))?", layer.name)
        if found is not None:
            numbers.setdefault(prefix, {})[int(found[1] or 0)] = layer.name
    plain = {
        named[number]: f"{prefix}_{rank}" if rank else prefix
        for prefix, named in numbers.items()
        for rank, number in enumerate(sorted(named))
    }
    counts: dict[str, int] = {}
    paths = {}
    for variable in model.weights:
        path = "/".join(plain.get(name, name) for name in variable.path.split("/"))
        count = counts.get(path, 0)
        counts[path] = count + 1
        paths[id(variable)] = f"{path}//{count}" if count else path
    return paths
