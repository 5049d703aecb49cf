"""Send the random numbers of PyTorch's own functions through this library.

A TorchFunctionMode sees the calls of tensors' methods and of PyTorch's functions in its thread,
under whatever name they were imported.  The functions of torch.nn.init are redirected by `_hooks`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from .._distributions import normal, uniform
from .._memory import LARGE, advise_huge_pages
from .._parameters import number
from . import init
from ._hooks import install, uninstall
from ._seeding import current, enter, leave, make_pending
from ._shards import is_distributed
from ._tensors import array_on, is_taken, is_watched, sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from ._seeding import Context


class Interception(TorchFunctionMode):  # type: ignore[misc]
    """Draw the random numbers of this thread with the keys of a context."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def __enter__(self) -> Self:
        install()
        try:
            enter(self.context)
            try:
                super().__enter__()
            except BaseException:  # such as an interrupt
                leave()
                raise
        except BaseException:
            uninstall()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            make_pending()
            super().__exit__(*error)
        finally:
            try:
                leave()
            finally:
                uninstall()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """See torch.overrides: while this runs, the mode is off."""
        # An error of this library takes the values of args and kwargs away: see release_views.
        given, named = args, kwargs or {}
        pending = self.context.pending
        if pending is not None and pending.draws:
            overwritten = pending.before(func, given, named)
            if overwritten is not None:
                result = self._perform(func, given, named)
                with torch._C.DisableTorchFunction():
                    pending.forget(overwritten)
                return result
        return self._perform(func, given, named)

    def _perform(self, func: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call a function, or what this library has for it."""
        handler = _HANDLERS.get(func)
        # The child of a fork is not in the context: see _seeding.
        if handler is not None and current() is self.context:
            try:
                result = handler(self.context, *given, **named)
            except (TypeError, ValueError):
                if any(map(is_distributed, (*given, *named.values()))):
                    raise  # PyTorch might draw other numbers on each mesh
                result = NotImplemented  # PyTorch raises its own error
            if result is not NotImplemented:
                return result
        return func(*given, **named)


# A handler takes the context, then what its function takes.  It returns NotImplemented to leave the
# call to PyTorch.


def _draws_in_place(context: Context, tensor: Any, generator: Any) -> bool:
    """Return whether this library does the work of a method that draws in place.

    Where gradients are recorded, PyTorch must refuse a leaf, and record the write to other tensors.
    """
    return (
        generator is None
        and is_taken(tensor, context.any_device)
        and not (tensor.requires_grad and torch.is_grad_enabled())
    )


def _normal_method(
    context: Context, /, self: Any, mean: Any = 0.0, std: Any = 1.0, *, generator: Any = None
) -> Any:
    with torch._C.DisableTorchFunction():
        if not _draws_in_place(context, self, generator):
            return NotImplemented
        sample(self, normal, number("mean", mean), number("std", std), None, None)
    return self


def _uniform_method(
    context: Context, /, self: Any, *args: Any, generator: Any = None, **bounds: Any
) -> Any:
    # The keyword of the lower bound is "from", which Python allows no parameter to have.
    given = dict(zip(("from", "to"), args, strict=False)) | bounds
    low, high = given.pop("from", 0.0), given.pop("to", 1.0)
    with torch._C.DisableTorchFunction():
        if given or len(args) > 2 or not _draws_in_place(context, self, generator):
            return NotImplemented
        sample(self, uniform, number("from", low), number("to", high), None, None)
    return self


def _factory(empty: Callable[..., Any], fill: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return the handler of a function that returns a new tensor of random numbers."""

    def handler(
        context: Context, /, *args: Any, generator: Any = None, out: Any = None, **kwargs: Any
    ) -> Any:
        if generator is not None or out is not None or is_watched():
            return NotImplemented
        tensor = empty(*args, **kwargs)
        return fill(tensor) if is_taken(tensor, context.any_device) else NotImplemented

    return handler


def _normal_function(
    context: Context, /, mean: Any, std: Any, size: Any = None, **kwargs: Any
) -> Any:
    if size is None or not _is_number(mean) or not _is_number(std):
        return NotImplemented
    fill = partial(init.normal_, mean=mean, std=std)
    return _factory(torch.empty, fill)(context, size, **kwargs)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _clone(context: Context, /, self: Any, *, memory_format: Any = torch.preserve_format) -> Any:
    """Copy a large tensor to huge pages: a deep copy of a layer spends its time on page faults."""
    if (
        not is_taken(self, False)
        or (self.requires_grad and torch.is_grad_enabled())
        or self.numel() * self.element_size() < LARGE
    ):
        return NotImplemented
    copy = torch.empty_like(self, memory_format=memory_format)
    if not copy.is_contiguous():
        return NotImplemented
    advise_huge_pages(array_on(copy))
    return copy.copy_(self)


_HANDLERS: dict[Any, Callable[..., Any]] = {
    torch.Tensor.normal_: _normal_method,
    torch.Tensor.uniform_: _uniform_method,
    torch.randn: _factory(torch.empty, init.normal_),
    torch.rand: _factory(torch.empty, init.uniform_),
    torch.randn_like: _factory(torch.empty_like, init.normal_),
    torch.rand_like: _factory(torch.empty_like, init.uniform_),
    torch.normal: _normal_function,
    torch.Tensor.clone: _clone,
    torch.clone: _clone,
}
