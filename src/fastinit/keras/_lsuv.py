"""Layer-sequential unit-variance initialization of Keras models."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from math import prod
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras.src.backend.common.variables import AutocastScope

from .._lsuv import plan
from .._report import LsuvReport, Moments, ScaledWeight
from .._seeds import derive_seed, key
from ..initializers._orthogonal import orthogonal
from ._forward import (
    DEPTHWISE,
    add_to,
    as_before,
    build,
    check_model,
    einsum_axes,
    first_tensor,
    is_values,
    layers_of,
    own_variables,
    plain_paths,
    replaced,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import SupportsFloat, SupportsIndex

    from .._lsuv import Plan
    from .._typing import Array, Dimensions, Seed

_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    *DEPTHWISE,
)


def _orthonormal(layer: Any, shape: Dimensions, seed: int, dtype: str) -> Array:
    """Return a kernel whose matrix, or that of each group or channel, is orthonormal."""
    *inner, last = shape
    if isinstance(layer, keras.layers.EinsumDense):
        inputs, _ = einsum_axes(layer.equation, len(shape))
        order = [*inputs, *(axis for axis in range(len(shape)) if axis not in inputs)]
        sizes = [shape[axis] for axis in order]
        rows = prod(sizes[: len(inputs)])
        matrix = orthogonal((rows, prod(shape) // rows), 1.0, seed, dtype)
        return matrix.reshape(sizes).transpose(np.argsort(order))
    if isinstance(layer, DEPTHWISE):  # (*window, in, multiplier)
        count, rows, columns = inner[-1], prod(inner[:-1]), last
    else:
        count = getattr(layer, "groups", 1)
        rows, columns = prod(inner), last // count
    matrices = orthogonal((count, rows, columns), 1.0, seed, dtype, batch_axis=0)
    return matrices.swapaxes(0, 1).reshape(shape)


class _Weight:
    """The kernel of one layer, or of several that share it.

    It is read and assigned during the call of a layer.  There, mixed precision would round what is
    read, and on PyTorch assign to a copy.
    """

    def __init__(self, kernel: Any, plain: str) -> None:
        self.kernel = kernel
        self.plain = plain
        self.layers: list[Any] = []
        self.done = False

    def variables(self) -> list[Any]:
        """Return what is set: the kernel, and the biases of the layers."""
        biases = (getattr(layer, "bias", None) for layer in self.layers)
        return [self.kernel, *(bias for bias in biases if bias is not None)]

    def begin(self, seed: int) -> None:
        """Make the kernel orthonormal and the biases 0."""
        kernel, *biases = self.variables()
        own, shape = derive_seed(seed, self.plain), tuple(kernel.shape)
        with AutocastScope(None):
            dtype = "float64" if kernel.dtype == "float64" else "float32"
            kernel.assign(_orthonormal(self.layers[0], shape, own, dtype))
            for bias in biases:
                bias.assign(np.zeros(tuple(bias.shape), "float32"))

    def divide(self, divisor: float) -> None:
        """Divide the kernel."""
        with AutocastScope(None):
            self.kernel.assign(keras.ops.divide(self.kernel.value, divisor))


def _weights(model: Any) -> tuple[dict[str, _Weight], dict[str, str]]:
    """Return the kernels of linear layers and convolutions, and why others cannot be set."""
    plain = plain_paths(model)
    by_id: dict[int, _Weight] = {}
    others: dict[int, Any] = {}
    for layer in layers_of(model):
        for variable in own_variables(layer):
            if isinstance(layer, _LAYERS) and variable.name == "kernel":
                weight = by_id.get(id(variable))
                if weight is None:
                    weight = by_id[id(variable)] = _Weight(variable, plain[id(variable)])
                weight.layers.append(layer)
            else:
                others[id(variable)] = layer
    found, skipped = {}, {}
    for number, weight in by_id.items():
        path = weight.kernel.path
        name = f"{path} ({weight.plain})" if path in found else path  # of layers of the same name
        found[name] = weight
        if number in others:
            skipped[name] = f"{others[number].name} has it, too, whose output is not to be scaled"
        elif "float" not in keras.backend.standardize_dtype(weight.kernel.dtype):
            skipped[name] = f"its dtype is {weight.kernel.dtype}"
    return found, skipped


def _setting(
    name: str, weight: _Weight, how: Plan, seed: int, done: list[ScaledWeight]
) -> Callable[[Any, Any], Any]:
    """Return what makes the method that sets a weight at the first call of a layer."""

    def make(layer: Any, call: Any) -> Any:
        def set_and_call(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            number = first_tensor(output)
            if weight.done or number is None:
                return output
            if not is_values(keras.tree.flatten(output)[number]):
                return output

            def measure() -> Moments:
                """Return the moments of the output before the activation function."""
                nonlocal output
                moments = Moments()

                def recording(_: Any, activation: Any) -> Any:
                    def record(x: Any) -> Any:
                        add_to(moments, x)
                        return x if activation is None else activation(x)

                    return record

                with replaced([layer], "activation", recording):
                    output = call(*args, **kwargs)
                return moments

            weight.begin(seed)
            done.append(how.scale(name, measure, weight.divide))
            weight.done = True
            return output

        return functools.wraps(call)(set_and_call)

    return make


def lsuv(
    model: Any,
    inputs: Any,
    *,
    training: bool = True,
    tol: SupportsFloat = 0.1,
    max_iter: SupportsIndex = 10,
    seed: Seed = 0,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
) -> LsuvReport:
    """Initialize linear layers and convolutions so that their outputs have variance 1.

    Each kernel becomes a random orthonormal matrix, and is then divided by the standard deviation
    of its layer's output, before the activation function, for a batch of inputs: layer by layer in
    the order of the forward pass.  The biases of these layers become 0.  Other weights stay as they
    are.

    Parameters
    ----------
    model : keras.Model or keras.Layer
        Functional, sequential or a subclass.  It runs once, and once more before that if it is not
        built.
    inputs : tensor, array, or a structure of them
        The inputs of the model: a batch of the data, or numbers with the same distribution.
    training : bool
        Whether the model runs as in training, where batch normalization uses the statistics of the
        batch, and dropout drops.
    tol : float
        Greatest distance of the variance from 1; between 0 and 1.
    max_iter : int
        Greatest number of times that a kernel is scaled.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        The kernel of a path has the seed ``derive_seed(seed, path)``, with the layers that Keras
        has named numbered from 0 on in this model.  Dropout and the like draw the same numbers for
        the same seed, too.
    include, exclude : sequence of str
        Patterns of whole paths of kernels, such as ``"decoder/*"``, as those of
        ``fnmatch.fnmatchcase``: the kernels that match one of ``include``, and none of
        ``exclude``, are set.

    Returns
    -------
    LsuvReport
        ``print`` shows it as a table.

    Warns
    -----
    UserWarning
        A variance is not 1 within the tolerance after ``max_iter`` iterations; a pattern matches no
        kernel; or a selected kernel is unchanged, because its layer was not called, or only in code
        that the backend traces, or another layer also has it.

    Raises
    ------
    ValueError
        The output of a layer has variance 0 or is not finite; this kernel and those before are then
        initialized.  No inputs, or an argument that is out of range.  Nothing is changed then.
    TypeError
        An argument is of the wrong type.

    Notes
    -----
    Mishkin & Matas, "All you need is a good init", ICLR 2016, algorithm 1.  The layers are Dense,
    EinsumDense, and the convolutions, also transposed and depthwise ones.  Each kernel is set at
    the first call of its layer, after all kernels before it, so one forward pass is enough.  A
    layer that is called several times is set once, by its first call.  Each group of a convolution,
    and each channel of a depthwise one, is a separate matrix; the kernel of an EinsumDense is a
    matrix of its inputs and outputs; other kernels are flattened as by :func:`fastinit.orthogonal`.

    The running statistics of batch normalization and the state of Keras's generators are restored.
    The same seed and inputs give the same weights on one machine and backend; the scales depend on
    how the backend rounds.
    """
    how = plan(tol, max_iter, include, exclude)
    check_model(model)
    if inputs is None:
        raise ValueError("inputs must be given: LSUV scales by the outputs for a batch")
    root = key(seed)
    build(model, inputs)
    weights, reasons = _weights(model)
    selected = how.selected({name: [name, weight.plain] for name, weight in weights.items()})
    skipped = {name: reasons[name] for name in selected if name in reasons}
    chosen = {name: weights[name] for name in selected if name not in reasons}
    kept = [variable for weight in chosen.values() for variable in weight.variables()]
    done: list[ScaledWeight] = []
    with as_before(model, root, but=kept), ExitStack() as calls:
        for name, weight in chosen.items():
            make = _setting(name, weight, how, root, done)
            calls.enter_context(replaced(weight.layers, "call", make))
        model(inputs, training=training)
    for name, weight in chosen.items():
        if not weight.done:
            skipped[name] = "its layer was not called, or in traced code only"
    return how.report(done, skipped)
