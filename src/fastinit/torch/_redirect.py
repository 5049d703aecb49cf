"""What functions that were redirected do: this library's values in a context, PyTorch's elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import init
from ._seeding import current
from ._tensors import is_taken

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGINALS: dict[str, Callable[..., Any]] = {}
"""The functions as they were, by their names; `_hooks` keeps them here."""

_OURS: dict[str, Callable[..., Any]] = {
    "trunc_normal_": init.trunc_normal_,
    "orthogonal_": init.orthogonal_,
    "sparse_": init.sparse_,
    "_trunc_normal_": init.trunc_normal_,  # timm's, which its functions share
}


def redirected(name: str, tensor: Any, *args: Any, generator: Any = None) -> Any:
    """Do what the function of that name does, from its arguments by their places."""
    context = current()
    if context is not None and generator is None and is_taken(tensor, context.any_device):
        try:
            return _OURS[name](tensor, *args)
        except (TypeError, ValueError):
            pass  # PyTorch says what is wrong in its own words
    if name.startswith("_"):  # timm's, which takes no generator
        return ORIGINALS[name](tensor, *args)
    return ORIGINALS[name](tensor, *args, generator=generator)
