"""What redirected functions do: this library's values in a context, PyTorch's elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .._distributions import normal, uniform
from .._parameters import number
from . import init
from ._seeding import current
from ._shards import is_distributed
from ._tensors import is_taken, sample

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGINALS: dict[str, Callable[..., Any]] = {}
"""The original functions by name; `_hooks` keeps them here."""


# These two are init's without what is_taken() has checked: a call for a few elements takes as long
# as the checks do.


def _uniform(tensor: Any, low: Any, high: Any) -> Any:
    if type(low) is not float or type(high) is not float:
        low, high = number("a", low), number("b", high)
    sample(tensor, uniform, low, high, None, None)
    return tensor


def _normal(tensor: Any, mean: Any, std: Any) -> Any:
    if type(mean) is not float or type(std) is not float:
        mean, std = number("mean", mean), number("std", std)
    sample(tensor, normal, mean, std, None, None)
    return tensor


_OURS: dict[str, Callable[..., Any]] = {
    "uniform_": _uniform,
    "normal_": _normal,
    "kaiming_uniform_": init.kaiming_uniform_,
    "trunc_normal_": init.trunc_normal_,
    "orthogonal_": init.orthogonal_,
    "sparse_": init.sparse_,
    "_trunc_normal_": init.trunc_normal_,  # timm's, which its functions share
}


def redirected(name: str, generator: Any, tensor: Any, *values: Any) -> Any:
    """Do what the function of that name does, with positional arguments.

    They are not called ``args``, whose values an error of this library clears: see release_views.
    """
    context = current()
    if context is not None and generator is None:
        with torch._C.DisableTorchFunction():
            if is_taken(tensor, context.any_device):
                try:
                    return _OURS[name](tensor, *values)
                except (TypeError, ValueError):
                    if is_distributed(tensor):  # PyTorch might draw other numbers on each mesh
                        raise
                    # PyTorch raises its own error.
    # timm's function takes no generator.
    return ORIGINALS[name](tensor, *values, *([] if name == "_trunc_normal_" else [generator]))
