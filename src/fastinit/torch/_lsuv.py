"""Layer-sequential unit-variance initialization of PyTorch models."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .._lsuv import plan
from .._report import LsuvReport, Moments, ScaledWeight
from .._seeds import derive_seed, key
from ..initializers._orthogonal import orthogonal
from ._forward import (
    add_to,
    as_before,
    check_model,
    check_values,
    first_tensor,
    is_transposed,
    owners,
    run,
)
from ._names import plain_name, unwrapped
from ._tensors import FLOATING, dtype_of, of_array

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import SupportsFloat, SupportsIndex

    from .._lsuv import Plan
    from .._typing import Seed

_LAYERS = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)


def _is_layer(module: Any) -> bool:
    return isinstance(module, _LAYERS) or is_transposed(module)


@dataclass
class _Weight:
    """A weight of one layer, or of several that share it."""

    names: list[str]
    modules: list[Any]
    values: Any
    done: bool = False

    def begin(self, seed: int) -> None:
        """Make the weight orthonormal, in each group of a convolution, and the biases 0."""
        values, groups = self.values, getattr(self.modules[0], "groups", 1)
        shape = groups, values.shape[0] // groups, values[0].numel()
        own = derive_seed(seed, self.names[0])
        matrices = orthogonal(shape, 1.0, own, dtype_of(values), batch_axis=0)
        with torch.no_grad():
            values.copy_(of_array(matrices).view(values.shape))
            for module in self.modules:
                if module._parameters.get("bias") is not None:
                    module.bias.zero_()

    def divide(self, divisor: float) -> None:
        """Divide the weight."""
        with torch.no_grad():
            self.values.div_(divisor)


def _weights(model: Any) -> tuple[dict[str, _Weight], dict[str, str]]:
    """Return the weights of linear layers and convolutions, and why others cannot be set."""
    found, skipped = {}, {}
    for values, names in owners(model):
        if values.ndim < 2 or not any(_is_layer(module) for _, module in names):
            continue
        first = names[0][0]
        others = [type(module).__name__ for _, module in names if not _is_layer(module)]
        if others:
            skipped[first] = f"it is also that of an {others[0]}, whose output is not to be scaled"
        elif values.dtype not in FLOATING:
            skipped[first] = f"its dtype is {values.dtype}"
        found[first] = _Weight([n for n, _ in names], [m for _, m in names], values)
    for prefix, module in model.named_modules():
        if _is_layer(module) and module._parameters.get("weight") is None:
            name = f"{plain_name(prefix)}.weight".removeprefix(".")
            skipped[name] = "it is computed from other parameters"
            found[name] = _Weight([name], [module], None)
    return found, skipped


def _hook(weight: _Weight, how: Plan, seed: int, done: list[ScaledWeight]) -> Callable[..., Any]:
    """Return a hook that sets a weight at the first call of a module that has it."""
    busy = False

    def hook(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        nonlocal busy
        if busy or weight.done or first_tensor(output) is None:
            return None
        made = output

        def measure() -> Moments:
            nonlocal made
            made = module(*args, **kwargs)
            moments = Moments()
            add_to(moments, first_tensor(made))
            return moments

        busy = True
        try:
            weight.begin(seed)
            done.append(how.scale(weight.names[0], measure, weight.divide))
            weight.done = True
        finally:
            busy = False
        return made

    return hook


def lsuv(
    model: Any,
    *inputs: Any,
    kwargs: Mapping[str, Any] | None = None,
    tol: SupportsFloat = 0.1,
    max_iter: SupportsIndex = 10,
    seed: Seed = 0,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
) -> LsuvReport:
    """Initialize linear layers and convolutions so that their outputs have variance 1.

    Each weight becomes a random orthonormal matrix, and is then divided by the standard deviation
    of its layer's output for a batch of inputs, layer by layer in the order of the forward pass.
    The biases of these layers become 0.  Other parameters stay as they are.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters must have values, and must not be sharded.  It runs once, in its current
        mode.
    *inputs
        The positional arguments of the model, of any types: a batch of the data, or numbers with
        the same distribution.  They are copied.
    kwargs : mapping, optional
        The keyword arguments of the model, such as ``{"input_ids": ids}``.
    tol : float
        Greatest distance of the variance from 1; between 0 and 1.
    max_iter : int
        Greatest number of times that a weight is scaled.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        The weight of a name has the seed ``derive_seed(seed, name)``.  Dropout and the like draw
        the same numbers for the same seed, too.
    include, exclude : sequence of str
        Patterns of whole names of weights, such as ``"*.mlp.*"``, as :func:`initialize` has them:
        the weights of linear layers and convolutions that match one of ``include``, and none of
        ``exclude``, are set.  If a weight has several names, one must match.

    Returns
    -------
    LsuvReport
        ``print`` shows it as a table.

    Warns
    -----
    UserWarning
        A variance is not 1 within the tolerance after ``max_iter`` iterations; a pattern matches no
        weight; or a selected weight is unchanged, because its layer was not called, it is computed
        from other parameters, or a module of another kind also has it.

    Raises
    ------
    ValueError
        The output of a layer has variance 0 or is not finite; the model is then initialized in
        part.  No inputs, a sharded model, a tensor that is on ``meta`` or has no shape yet, or an
        argument that is out of range.  Nothing is changed then.
    TypeError
        An argument is of the wrong type.

    Notes
    -----
    Mishkin & Matas, "All you need is a good init", ICLR 2016, algorithm 1.  The layers are
    ``Linear``, the convolutions, also transposed ones, and the Conv1D of transformers.  Each weight
    is set at the first call of its layer, after all weights before it, so one forward pass is
    enough.  A layer that is called several times, or whose weight several layers share, is set
    once, by its first call.  Each group of a convolution is a separate matrix; other weights are
    flattened as by :func:`fastinit.torch.init.orthogonal_`.

    Buffers, modes, hooks and the state of PyTorch's generators are restored.  The same seed and
    inputs give the same weights on one machine; the scales depend on how PyTorch rounds.
    """
    how = plan(tol, max_iter, include, exclude)
    check_model(model)
    target = unwrapped(model)
    check_values(target)
    if not inputs and kwargs is None:
        raise ValueError("inputs must be given: LSUV scales by the outputs for a batch")
    root = key(seed)
    weights, reasons = _weights(target)
    selected = how.selected({name: weight.names for name, weight in weights.items()})
    skipped = {name: reasons[name] for name in selected if name in reasons}
    chosen = [weights[name] for name in selected if name not in reasons]
    done: list[ScaledWeight] = []
    with (
        as_before(target, root),
        torch.inference_mode(False),
        torch.no_grad(),
        ExitStack() as hooks,
    ):
        for weight in chosen:
            for module in weight.modules:
                hook = _hook(weight, how, root, done)
                hooks.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        run(target, inputs, kwargs)
    skipped |= {w.names[0]: "its layer was not called" for w in chosen if not w.done}
    return how.report(done, skipped)
