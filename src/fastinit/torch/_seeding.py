"""The seed of each draw: what the caller gives, or what a context of this package says."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

import torch

from .._messages import shown
from .._seeds import check_seed, key
from ._shards import is_distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._typing import Seed
    from ._pending import Pending


class Context(Protocol):
    """What gives each draw of a thread its Philox key."""

    any_device: bool
    """Whether random numbers for devices other than the CPU are this library's, too."""

    @property
    def pending(self) -> Pending | None:
        """The draws that wait, if any may."""

    def next_key(self, tensor: Any) -> int:
        """Return the key of the next draw, which goes into that tensor."""

    def wrote(self, tensor: Any) -> None:
        """Record that all elements of a tensor were written."""


class _Stack(threading.local):
    """The contexts that a thread is in, the innermost last."""

    def __init__(self) -> None:
        self.contexts: list[Context] = []


_stack = _Stack()


def current() -> Context | None:
    """Return the innermost context that this thread is in."""
    return _stack.contexts[-1] if _stack.contexts else None


def make_pending() -> None:
    """Make the draws of the innermost context that wait, before what it would not see."""
    context = current()
    if context is not None and context.pending is not None:
        context.pending.make_all()


def enter(context: Context) -> None:
    """Let a context give the keys of this thread's draws."""
    make_pending()
    _stack.contexts.append(context)


def leave() -> None:
    """End the innermost context of this thread, unless it is its parent's before a fork."""
    if _stack.contexts:
        _stack.contexts.pop()


def _leave_all() -> None:
    """Leave the contexts of the process that this one was forked from.

    Forked processes would all draw the same numbers, and could not ask for others: the workers of a
    DataLoader seed PyTorch's generator.
    """
    _stack.contexts.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=make_pending, after_in_child=_leave_all)


def _words(generator: torch.Generator | None, device: Any) -> Iterator[int]:
    for _ in range(2):
        word = torch.randint(1 << 32, (), generator=generator, dtype=torch.int64, device=device)
        yield int(word)


def check_source(seed: Seed, generator: torch.Generator | None) -> None:
    """Raise as :func:`key_of_draw` does for its arguments, without advancing a generator."""
    if generator is None:
        if seed is not None:
            check_seed(seed)
        return
    if seed is not None:
        raise ValueError("seed and generator must not be given together")
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, received {shown(generator)}")


def key_of_draw(tensor: Any, seed: Seed, generator: torch.Generator | None) -> int:
    """Return the Philox key of a draw into a tensor.

    A seed is what all functions of this library take.  A ``torch.Generator`` gives two words of 32
    bits, the low one first.  Without either, the context of :class:`accelerate` or
    :func:`initialize` gives the key, and outside of them PyTorch's default generator does, so that
    ``torch.manual_seed`` governs these functions as it does PyTorch's.

    Raises
    ------
    ValueError
        Both are given; or neither is, outside of a context, for a DTensor: each of its processes
        would draw a different seed.
    """
    check_source(seed, generator)
    if seed is not None:
        return key(seed)
    if generator is None:
        context = current()
        if context is not None:
            return context.next_key(tensor)
        if is_distributed(tensor):
            raise ValueError(
                "a DTensor needs a seed or a generator that is the same in all processes"
            )
    low, high = _words(generator, "cpu" if generator is None else generator.device)
    return low | high << 32
