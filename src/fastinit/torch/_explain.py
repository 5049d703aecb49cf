"""Explain an initial model: its weights, and their effect on activations and gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from .._messages import shown, type_of
from .._report import (
    ModelReport,
    Moments,
    OutputStatistics,
    WeightRecords,
    is_activation,
    output_warnings,
    shared,
)
from .._seeds import derive_seed, key
from ._forward import (
    add_to,
    as_before,
    check_model,
    check_values,
    first_tensor,
    is_transposed,
    owners,
    pieces,
    run,
)
from ._names import plain_name, unwrapped
from .init import normal_

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .._typing import Dimensions, Seed

_nn = torch.nn
_CONVOLUTIONS = _nn.modules.conv._ConvNd
_TRANSPOSED = _nn.modules.conv._ConvTransposeNd
_EMBEDDINGS = (_nn.Embedding, _nn.EmbeddingBag)
_NORMALIZATIONS = tuple(
    getattr(_nn, name)
    for name in ("LayerNorm", "RMSNorm", "GroupNorm", "LocalResponseNorm", "CrossMapLRN2d")
    if hasattr(_nn, name)
)
# The outputs of these are their inputs, except for the shape or for what dropout sets to 0.
_PASSING = (_nn.Identity, _nn.Flatten, _nn.Unflatten, _nn.modules.dropout._DropoutNd)


def _fans(module: Any, shape: Dimensions) -> tuple[int, int] | None:
    """Return fan_in and fan_out of a parameter of a module; None if it has none."""
    if isinstance(module, _NORMALIZATIONS):
        return None
    if isinstance(module, _EMBEDDINGS):  # an id is an input of which one element is 1
        return 1, shape[1]
    if is_transposed(module):
        return shape[0], shape[1]
    window = prod(shape[2:])
    groups = module.groups if isinstance(module, _CONVOLUTIONS) else 1
    if isinstance(module, _TRANSPOSED):
        return shape[0] // groups * window, shape[1] * window
    return shape[1] * window, shape[0] // groups * window


def _is_weight(name: str, parameter: Any) -> bool:
    """Return whether a parameter has two dimensions or more, as some biases do, and is not one."""
    return parameter is not None and parameter.ndim >= 2 and not name.endswith("bias")


def _weights(model: Any) -> WeightRecords:
    records = WeightRecords()
    for parameter, names in owners(model):
        (name, module), *others = names
        if _is_weight(name, parameter):
            shape = tuple(parameter.shape)
            values = () if parameter.is_meta else pieces(parameter)
            fans = _fans(module, shape)
            records.add(name, shape, fans, values, tuple(other for other, _ in others))
    return records


@dataclass
class _Module:
    """The statistics of the outputs of a module."""

    name: str
    module: Any
    shape: Dimensions
    calls: int = 0
    output: Moments = field(default_factory=Moments)
    gradient: Moments = field(default_factory=Moments)
    edges: list[Any] = field(default_factory=list)
    alive: Any = None  # whether an output was not 0 in any example

    def add(self, tensor: Any) -> None:
        self.calls += 1
        add_to(self.output, tensor)
        if isinstance(self.module, (_nn.ReLU, _nn.ReLU6)):
            alive = (tensor.detach() != 0).any(0)
            if self.alive is None or self.alive.shape == alive.shape:
                self.alive = alive if self.alive is None else self.alive | alive
        if tensor.requires_grad:
            self.edges.append(torch.autograd.graph.get_gradient_edge(tensor))

    def statistics(self) -> OutputStatistics:
        """Return the statistics for the report."""
        weighs = "parametrizations" in self.module._modules or any(
            _is_weight(name, parameter) for name, parameter in self.module._parameters.items()
        )
        dead = None
        if self.alive is not None and self.alive.numel():
            dead = 1 - float(self.alive.double().mean())
        return OutputStatistics(
            self.name,
            type(self.module).__name__,
            self.shape,
            self.calls,
            self.output.stddev,
            self.gradient.stddev if self.gradient.count else None,
            dead,
            weighs and not isinstance(self.module, (*_EMBEDDINGS, *_NORMALIZATIONS)),
        )


class _Outputs:
    """The outputs of all modules in one forward pass."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.found: dict[int, _Module] = {}
        self.open = True
        self._handles: list[Any] = []

    def __enter__(self) -> _Outputs:
        try:
            for name, module in self.model.named_modules():
                if self._is_shown(name, module):
                    hook = self._hook(plain_name(name), module)
                    self._handles.append(module.register_forward_hook(hook))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        for handle in self._handles:
            handle.remove()

    @staticmethod
    def _is_shown(name: str, module: Any) -> bool:
        passing = isinstance(module, _PASSING) or type(module).forward is _nn.Sequential.forward
        return not passing and "parametrizations" not in name.split(".")

    def _hook(self, name: str, module: Any) -> Callable[..., None]:
        def hook(_: Any, arguments: Any, output: Any) -> None:
            # Checkpoints compute a part again in the backward pass.
            tensor = first_tensor(output) if self.open else None
            if tensor is not None:
                with torch.no_grad():
                    known = self.found.get(id(module))
                    if known is None:
                        known = self.found[id(module)] = _Module(name, module, tuple(tensor.shape))
                known.add(tensor)

        return hook

    def propagate(self, output: Any, loss: Any, seed: int) -> str | None:
        """Propagate a gradient back, or return why there is none."""
        self.open = False
        if loss is None:
            target = first_tensor(output)
            if target is None:
                return "no gradients: the output has no tensor of floating-point numbers"
            cotangent = normal_(torch.empty_like(target), seed=derive_seed(seed, "cotangent()"))
        else:
            target = loss(output)
            if not isinstance(target, torch.Tensor) or target.numel() != 1:
                raise ValueError(
                    f"loss must return a tensor of one element, received {shown(target)}"
                )
            cotangent = torch.ones_like(target)
        if not target.requires_grad:
            return "no gradients: autograd has not recorded how the output was computed"
        edges = {(id(e.node), e.output_nr): e for m in self.found.values() for e in m.edges}
        try:
            gradients = torch.autograd.grad(
                target, list(edges.values()), cotangent, allow_unused=True
            )
        except RuntimeError as error:
            if "heckpoint" not in str(error):  # PyTorch 2.5 and 2.13 word it differently
                raise
            return "no gradients: the model has checkpoints with use_reentrant=True"
        by_edge = dict(zip(edges, gradients, strict=True))
        for module in self.found.values():
            for edge in module.edges:
                gradient = by_edge[id(edge.node), edge.output_nr]
                if gradient is not None:
                    add_to(module.gradient, gradient)
        return None


def explain(
    model: Any,
    *inputs: Any,
    kwargs: Mapping[str, Any] | None = None,
    loss: Callable[[Any], Any] | None = None,
    seed: Seed = 0,
) -> ModelReport:
    """Return the statistics of initial weights, activations and gradients, and warn of faults.

    For each parameter of two dimensions or more that is not a bias, the report has its fans and the
    statistics of its values.  With inputs, the model runs once, in its current mode, and a gradient
    is propagated back: for each module the report has the standard deviations of its output and of
    the gradient with respect to its output.

    Afterwards the model is as it was: its parameters, their ``grad``, its buffers, such as the
    running statistics of batch norm, its modes, its hooks, and the state of PyTorch's generators of
    the CPU and of CUDA.

    Parameters
    ----------
    model : torch.nn.Module
        It must not be sharded.  Without inputs, its parameters may be on ``meta``; then the report
        has only their shapes and fans.
    *inputs
        The positional arguments of the model, of any types: a batch.  They are copied.
    kwargs : mapping, optional
        The keyword arguments of the model, such as ``{"input_ids": ids}``.
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
        The model is sharded, a parameter has no shape yet, or is on ``meta`` although there are
        inputs; there is a loss without inputs, or its result is not one element; or an argument is
        of the wrong type.  An exception of the model is passed on.

    Notes
    -----
    Weights have PyTorch's layout, ``(out, in, *window)``, whatever the module, except for those of
    embeddings, transposed convolutions and the Conv1D of transformers; the groups of convolutions
    are taken into account.  The fans of an embedding are (1, dim), as one row is selected.

    The warnings are about NaN and Inf; weights that are all 0; weights with the same random
    numbers, as several layers with one seed have; outputs that are all equal; ReLUs most of whose
    outputs are 0 for all examples; and activations and gradients that vanish or explode over the
    layers whose names differ only in numbers.  For gradients, the norms for one example are
    compared.  In a network with normalization, the sum of n layers is not a fault: an additional
    factor of sqrt(n) is allowed.

    The forward pass and the gradients take the memory of a step of training without an optimizer.
    Statistics are computed in pieces.

    Examples
    --------
    >>> import torch
    >>> report = explain(torch.nn.Linear(256, 256), torch.ones(1, 256))
    >>> report.weights[0].fan_in
    256
    """
    check_model(model)
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function of the output, received {type_of(loss)}")
    runs = bool(inputs) or kwargs is not None
    if loss is not None and not runs:
        raise ValueError("loss must not be given without inputs")
    root = key(seed)
    target = unwrapped(model)
    if runs:
        check_values(target)
    weights = _weights(target)
    warnings, notes = weights.warnings(), shared(weights.found)
    if not runs:
        return ModelReport(tuple(weights.found), (), tuple(warnings), tuple(notes))
    recorded = _Outputs(target)
    with as_before(target, root), torch.inference_mode(False), torch.enable_grad():
        for parameter in target.parameters():
            if parameter.is_floating_point() or parameter.is_complex():
                parameter.requires_grad_(True)
        with recorded:
            output = run(target, inputs, kwargs)
            note = recorded.propagate(output, loss, root)
    outputs = [module.statistics() for module in recorded.found.values()]
    modules = [module.module for module in recorded.found.values()]
    activations = [
        (type(module).__name__, module)
        for module in modules
        if not list(module.parameters()) and is_activation(module)
    ]
    warnings += output_warnings(outputs, weights.found, activations)
    notes += [note] if note else []
    return ModelReport(tuple(weights.found), tuple(outputs), tuple(warnings), tuple(notes))
