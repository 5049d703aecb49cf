"""A context in which PyTorch's initializations are this library's."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from inspect import (
    isasyncgenfunction,
    isclass,
    iscoroutinefunction,
    isfunction,
    isgeneratorfunction,
)
from typing import TYPE_CHECKING, Any

from .._messages import shown
from .._seeds import DerivedSeeds, check_seed, key
from ._interception import Interception
from ._pending import Pending

if TYPE_CHECKING:
    from typing import Self

    from .._typing import Seed


class _Draws:
    """The keys of a program's draws, by their number."""

    any_device = False

    def __init__(self, root: int) -> None:
        self.seeds = DerivedSeeds(root)
        self.count = 0
        self.pending = Pending()

    def next_key(self, tensor: Any) -> int:
        """See Context."""
        number = self.count
        self.count += 1
        return self.seeds[str(number)]

    def wrote(self, tensor: Any) -> None:
        """See Context."""
        if self.pending.draws:
            self.pending.forget(tensor)


class _Entered(threading.local):
    """The interceptions that one context has entered in this thread, the innermost last."""

    def __init__(self) -> None:
        self.stack: list[Interception] = []


class accelerate(ContextDecorator):
    """Send the random initializations of existing code through this library.

    Inside the context, ``torch.nn.init``, ``Tensor.normal_`` and ``uniform_``, ``torch.randn``,
    ``rand``, ``randn_like``, ``rand_like`` and ``normal``, and the functions of other packages
    that call these, fill tensors of the CPU with the values of :mod:`fastinit.torch.init`.  Draw n,
    from 0, has the seed ``derive_seed(seed, str(n))``: the same program gives the same model.
    PyTorch's own generator does not advance for them.

    What this library cannot do exactly is left to PyTorch: a call with a generator or ``out=``,
    integers, complex numbers and other dtypes, other devices and classes of tensors, and
    distributions that are not listed.

    While a model of transformers is constructed, draws wait until anything reads the weight or the
    constructor ends, as most are overwritten before.  Construct models in the context, and do not
    train in it: torch.utils.checkpoint could not repeat its draws.

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64, gives the same values each time that the context is entered.
        A generator advances.  None draws fresh entropy.

    Raises
    ------
    TypeError, ValueError
        A seed of the wrong type or out of range.

    Notes
    -----
    The context affects this thread alone, and may be nested: the inner context numbers its own
    draws.  It can decorate a function.

    Examples
    --------
    >>> import torch
    >>> with accelerate(seed=0):
    ...     layer = torch.nn.Linear(3, 2)
    """

    def __init__(self, seed: Seed = None) -> None:
        if isfunction(seed) or isclass(seed):
            raise TypeError("a decorator must be called: @accelerate() or @accelerate(seed=0)")
        check_seed(seed)
        self._seed = seed
        self._entered = _Entered()

    def __enter__(self) -> Self:
        interception = Interception(_Draws(key(self._seed)))
        interception.__enter__()
        self._entered.stack.append(interception)
        return self

    def __call__(self, func: Any) -> Any:
        """Return the function, to be run in the context.

        Raises
        ------
        TypeError
            Classes, generators and coroutines: they do their work after the call has returned.
        """
        if isclass(func) or any(
            is_kind(func)
            for is_kind in (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)
        ):
            raise TypeError(
                "accelerate() can decorate functions, but no classes, generators and coroutines: "
                f"enter it where tensors are made, received {shown(func)}"
            )
        return super().__call__(func)

    def __exit__(self, *error: object) -> None:
        self._entered.stack.pop().__exit__(*error)
