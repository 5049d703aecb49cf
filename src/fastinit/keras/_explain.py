"""Explain an initial Keras model: its weights, activations and gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from .._fans import compute_fans
from .._messages import shown, type_of
from .._report import (
    ModelReport,
    Moments,
    OutputStatistics,
    WeightRecords,
    is_activation,
    output_warnings,
)
from .._seeds import derive_seed, key
from ..initializers._random import random_normal
from ._forward import (
    DEPTHWISE,
    add_to,
    around,
    as_before,
    build,
    check_model,
    einsum_axes,
    first_tensor,
    is_values,
    is_weight,
    layers_of,
    name_of,
    own_variables,
    pieces,
    replaced,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._typing import Dimensions, Seed

_layers = keras.layers
_NORMALIZATIONS = (
    _layers.BatchNormalization,
    _layers.GroupNormalization,
    _layers.LayerNormalization,
    _layers.RMSNormalization,
)
_TRANSPOSED = (_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose)
_SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
# The outputs of these are their inputs, except for the shape or for what dropout sets to 0.
_PASSING = (
    _layers.InputLayer,
    _layers.Identity,
    _layers.Flatten,
    _layers.Reshape,
    _layers.Permute,
    _layers.RepeatVector,
    _layers.Dropout,
    _layers.AlphaDropout,
    _layers.GaussianDropout,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
    _layers.SpatialDropout3D,
    keras.Sequential,
)


def _fans(layer: Any, name: str, shape: Dimensions) -> tuple[int, int] | None:
    """Return fan_in and fan_out of a weight of a layer; None if it has none."""
    if isinstance(layer, _NORMALIZATIONS):
        return None
    if isinstance(layer, _layers.Embedding):  # an id is an input of which one element is 1
        return 1, shape[1]
    if isinstance(layer, _layers.EinsumDense):
        return compute_fans(shape, *einsum_axes(layer.equation, len(shape)))
    fan_in, fan_out = compute_fans(shape)
    if isinstance(layer, DEPTHWISE) or (isinstance(layer, _SEPARABLE) and "depthwise" in name):
        return fan_in // shape[-2], fan_out  # each channel has a kernel of its own
    if isinstance(layer, _TRANSPOSED):  # (*window, out, in)
        return fan_out, fan_in
    groups = getattr(layer, "groups", 1)
    return fan_in, fan_out // (groups if isinstance(groups, int) else 1)


def _weights(model: Any) -> WeightRecords:
    owners: dict[int, Any] = {}
    for layer in layers_of(model):
        for variable in own_variables(layer):
            owners.setdefault(id(variable), layer)
    records = WeightRecords()
    for variable in model.weights:
        shape = tuple(variable.shape)
        if is_weight(variable):
            fans = _fans(owners[id(variable)], variable.name, shape)
            records.add(variable.path, shape, fans, pieces(variable))
    return records


def _activation(layer: Any) -> Any | None:
    """Return the activation function of a layer, or the layer that is one."""
    function = getattr(layer, "activation", None)
    if function is keras.activations.linear:
        return None
    if function is None and not layer.weights:
        function = layer
    return function if function is not None and is_activation(function) else None


def _is_relu(layer: Any) -> bool:
    return isinstance(layer, _layers.ReLU) or _activation(layer) is keras.activations.relu


@dataclass
class _Layer:
    """The statistics of the outputs of a layer."""

    name: str
    layer: Any
    shape: Dimensions
    calls: int = 0
    output: Moments = field(default_factory=Moments)
    gradient: Moments = field(default_factory=Moments)
    alive: Any = None  # whether an output was not 0 in any example

    def add(self, tensor: Any) -> None:
        self.calls += 1
        add_to(self.output, tensor)
        if _is_relu(self.layer):
            alive = np.asarray(keras.ops.convert_to_numpy(keras.ops.any(tensor != 0, axis=0)))
            if self.alive is None or self.alive.shape == alive.shape:
                self.alive = alive if self.alive is None else self.alive | alive

    def statistics(self) -> OutputStatistics:
        """Return the statistics for the report."""
        weighs = any(map(is_weight, own_variables(self.layer)))
        dead = 1 - float(self.alive.mean()) if self.alive is not None and self.alive.size else None
        return OutputStatistics(
            self.name,
            type(self.layer).__name__,
            self.shape,
            self.calls,
            self.output.stddev,
            self.gradient.stddev if self.gradient.count else None,
            dead,
            weighs and not isinstance(self.layer, (*_NORMALIZATIONS, _layers.Embedding)),
        )


class _Pass:
    """A forward pass, in which the outputs of the layers are recorded."""

    def __init__(self, model: Any, inputs: Any, training: bool, loss: Any, seed: int) -> None:
        self.model, self.inputs, self.training = model, inputs, training
        self.loss, self.seed = loss, seed
        self.found: dict[int, _Layer] = {}
        # Each call of a layer has a record, or None if it was in traced code.
        self.calls: list[_Layer | None] = []
        self.tensors: list[Any] = []
        self._layers = [x for x in layers_of(model) if not isinstance(x, _PASSING)]

    def _run(self, see: Callable[[Any, Any], Any]) -> Any:
        """Run the model; ``see`` returns what replaces the tensor that a layer returns."""

        def wrapped(layer: Any, call: Any) -> Any:
            def after(output: Any) -> Any:
                number = first_tensor(output)
                if number is None:
                    return output
                leaves = keras.tree.flatten(output)
                leaves[number] = see(layer, leaves[number])
                return keras.tree.pack_sequence_as(output, leaves)

            return around(call, after)

        with replaced(self._layers, "call", wrapped):
            output = self.model(self.inputs, training=self.training)
        if self.loss is not None:
            goal = self.loss(output)
            if not keras.ops.is_tensor(goal) or keras.ops.size(goal) != 1:
                raise ValueError(
                    f"loss must return a tensor of one element, received {shown(goal)}"
                )
            return goal
        number = first_tensor(output)
        return None if number is None else keras.tree.flatten(output)[number]

    def forward(self, change: Callable[[Any], Any] = lambda tensor: tensor) -> Any:
        """Run the model and record the outputs; return the tensor whose gradient is propagated."""

        def see(layer: Any, tensor: Any) -> Any:
            if not is_values(tensor):
                self.calls.append(None)
                return tensor
            tensor = change(tensor)
            known = self.found.get(id(layer))
            if known is None:
                name = name_of(self.model, layer)
                known = self.found[id(layer)] = _Layer(name, layer, tuple(tensor.shape))
            known.add(tensor)
            self.calls.append(known)
            self.tensors.append(tensor)
            return tensor

        return self._run(see)

    def cotangent(self, goal: Any) -> Any:
        """Return the gradient at the end, of the shape and dtype of ``goal``."""
        if self.loss is not None:
            return keras.ops.ones_like(goal)
        values = random_normal(
            tuple(goal.shape), stddev=1.0, seed=derive_seed(self.seed, "cotangent()")
        )
        return keras.ops.convert_to_tensor(values, goal.dtype)

    def run(self) -> str | None:
        """Run the model and propagate a gradient back, or return why there is none."""
        backend = keras.backend.backend()
        gradients = {
            "jax": self._in_jax,
            "tensorflow": self._in_tensorflow,
            "torch": self._in_torch,
        }.get(backend)
        if gradients is None:
            self.forward()
            return f"no gradients: the backend {backend} does not compute them"
        found = gradients()
        if found is None:
            return "no gradients: the output has no tensor of floating-point numbers"
        for layer, gradient in zip(filter(None, self.calls), found, strict=True):
            if gradient is not None:
                add_to(layer.gradient, gradient)
        return None

    def _in_tensorflow(self) -> list[Any] | None:
        import tensorflow as tf

        with tf.GradientTape() as tape:

            def watched(tensor: Any) -> Any:
                tape.watch(tensor)
                return tensor

            goal = self.forward(watched)
        if goal is None:
            return None
        found = tape.gradient(goal, self.tensors, self.cotangent(goal))
        return [None if part is None else tf.convert_to_tensor(part) for part in found]

    def _in_torch(self) -> list[Any] | None:
        import torch

        def watched(tensor: Any) -> Any:
            return tensor if tensor.requires_grad else tensor.detach().requires_grad_()

        with torch.enable_grad():
            goal = self.forward(watched)
        if goal is None:
            return None
        if not goal.requires_grad:
            return [None] * len(self.tensors)
        cotangent = self.cotangent(goal)
        return list(torch.autograd.grad(goal, self.tensors, cotangent, allow_unused=True))

    def _in_jax(self) -> list[Any] | None:
        import jax

        with as_before(self.model, self.seed):  # so that the layers draw the same numbers again
            if self.forward() is None:
                return None
        shapes = [(tuple(tensor.shape), tensor.dtype) for tensor in self.tensors]
        self.tensors.clear()

        def shifted(shifts: list[Any]) -> Any:
            calls, values = iter(self.calls), iter(shifts)

            def see(layer: Any, tensor: Any) -> Any:
                return tensor if next(calls) is None else tensor + next(values)

            with keras.StatelessScope():
                return self._run(see)

        # The gradient with respect to an output is that of 0 added to it.
        goal, pull = jax.vjp(shifted, [keras.ops.zeros(*shape) for shape in shapes])
        (found,) = pull(self.cotangent(goal))
        return list(found)


def explain(
    model: Any,
    inputs: Any = None,
    *,
    training: bool = True,
    loss: Callable[[Any], Any] | None = None,
    seed: Seed = 0,
) -> ModelReport:
    """Return the statistics of initial weights, activations and gradients, and warn of faults.

    For each weight of two dimensions or more that is not a bias, the report has its fans and the
    statistics of its values.  With inputs, the model runs once, and a gradient is propagated back:
    for each layer the report has the standard deviations of its output, after its activation
    function, and of the gradient with respect to its output.

    Afterwards the model is as it was: its weights, the running statistics of batch normalization,
    and the state of Keras's generators.

    Parameters
    ----------
    model : keras.Model or keras.Layer
        Functional, sequential or a subclass.  It must be built if there are no inputs.
    inputs : tensor, array, or a structure of them, optional
        The inputs of the model: a batch.
    training : bool
        Whether the model runs as in training, where batch normalization uses the statistics of the
        batch, and dropout drops.
    loss : callable, optional
        A function of the model's output that returns a tensor of one element, whose gradient is
        propagated.  By default the gradient of the output is a sample of the standard normal
        distribution, so that all others are relative to it.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        For that sample, and for what the model draws when it runs, such as dropout.

    Returns
    -------
    ModelReport
        ``print`` shows it as tables.  It has the attributes ``weights``, ``outputs``, ``warnings``
        and ``notes``.

    Raises
    ------
    ValueError, TypeError
        The model is not built and there are no inputs; there is a loss without inputs, or its
        result is not one element; or an argument is of the wrong type.  An exception of the model
        is passed on.

    Notes
    -----
    Weights have Keras's layout, ``(*window, in, out)``; those of embeddings, transposed and
    depthwise convolutions and of EinsumDense are distinguished by their layers, and the groups of
    convolutions are taken into account.  The fans of an embedding are (1, dim), as one row is
    selected.

    The warnings are those of :func:`fastinit.torch.explain`.

    A layer that is called only in code that the backend traces, as a cell of a recurrent layer is
    on JAX, has no row.  On JAX the gradients need a second forward pass.

    Examples
    --------
    >>> layer = keras.layers.Dense(8)
    >>> layer.build((None, 4))
    >>> explain(layer).weights[0].fan_in
    4
    """
    check_model(model)
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function of the output, received {type_of(loss)}")
    if inputs is None and loss is not None:
        raise ValueError("loss must not be given without inputs")
    root = key(seed)
    if inputs is None:
        if not model.built:
            raise ValueError("model must be built, or inputs be given, so that it has weights")
        weights = _weights(model)
        return ModelReport(tuple(weights.found), (), tuple(weights.warnings()))
    build(model, inputs)
    weights = _weights(model)
    recorded = _Pass(model, inputs, training, loss, root)
    with as_before(model, root):
        note = recorded.run()
    outputs = [layer.statistics() for layer in recorded.found.values()]
    functions = filter(None, (_activation(layer.layer) for layer in recorded.found.values()))
    activations = [(getattr(f, "__name__", type(f).__name__), f) for f in functions]
    warnings = weights.warnings() + output_warnings(outputs, weights.found, activations)
    notes = (note,) if note else ()
    return ModelReport(tuple(weights.found), tuple(outputs), tuple(warnings), notes)
