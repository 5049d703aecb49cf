"""Redirect functions of ``torch.nn.init``.

A mode does not see ``trunc_normal_``, ``orthogonal_`` and ``sparse_`` as a whole, and sees the
others late: torch.nn.init.normal_ spends 1.9 us on reporting its call.  Programs import the
names of these functions early, so a new attribute of their module would reach only some callers.
Therefore the code of a function is replaced for as long as any thread is in a context; it is the
code of the function of the same name below.  It runs with the variables of the other module, so
`redirected` comes by the default of an argument (an import in each call takes 0.7 us).  Threads
that are in no context get what the function did before.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import wraps
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import torch

from ._redirect import ORIGINALS, redirected
from ._seeding import current

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Redirected: TypeAlias = Callable[..., Any]


def uniform_(
    tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None, *, redirected: Redirected
) -> Any:
    """Stand in for the function of torch.nn.init."""
    return redirected("uniform_", generator, tensor, a, b)


def normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Any = None,
    *,
    redirected: Redirected,
) -> Any:
    """Stand in for the function of torch.nn.init."""
    return redirected("normal_", generator, tensor, mean, std)


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
    *,
    redirected: Redirected,
) -> Any:
    """Stand in for the function of torch.nn.init."""
    return redirected("kaiming_uniform_", generator, tensor, a, mode, nonlinearity)


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
    *,
    redirected: Redirected,
) -> Any:
    """Stand in for the function of torch.nn.init."""
    return redirected("trunc_normal_", generator, tensor, mean, std, a, b)


def orthogonal_(
    tensor: Any, gain: float = 1, generator: Any = None, *, redirected: Redirected
) -> Any:
    """Stand in for the function of torch.nn.init."""
    return redirected("orthogonal_", generator, tensor, gain)


def sparse_(
    tensor: Any,
    sparsity: float,
    std: float = 0.01,
    generator: Any = None,
    *,
    redirected: Redirected,
) -> Any:
    """Stand in for the function of torch.nn.init."""
    return redirected("sparse_", generator, tensor, sparsity, std)


def _trunc_normal_(
    tensor: Any, mean: float, std: float, a: float, b: float, *, redirected: Redirected
) -> Any:
    """Stand in for the function of timm.layers.weight_init that its truncated normals share."""
    return redirected("_trunc_normal_", None, tensor, mean, std, a, b)


_STAND_INS = (uniform_, normal_, kaiming_uniform_, trunc_normal_, orthogonal_, sparse_)

# As they are when this module is imported.
_FOUND = {stand_in: getattr(torch.nn.init, stand_in.__name__) for stand_in in _STAND_INS}


class _Constructor:
    """The constructor of transformers' models, and the method that its subclasses end with.

    They say when draws may wait (`_pending`).
    """

    def __init__(self) -> None:
        self.originals: tuple[Any, Any, Any] | None = None

    def install(self) -> None:
        """Redirect both methods if transformers is imported."""
        base: Any = getattr(sys.modules.get("transformers.modeling_utils"), "PreTrainedModel", None)
        if base is None or not hasattr(base, "post_init"):
            return
        construct, post_init = base.__init__, base.post_init

        @wraps(construct)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            context = current()
            if context is not None and context.pending is not None:
                context.pending.begin(self)
            construct(self, *args, **kwargs)

        @wraps(post_init)
        def end(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = post_init(self, *args, **kwargs)
            context = current()
            if context is not None and context.pending is not None:
                context.pending.end(self)
            return result

        self.originals = base, construct, post_init
        base.__init__, base.post_init = __init__, end

    def uninstall(self) -> None:
        """Restore both methods."""
        if self.originals is not None:
            base, construct, post_init = self.originals
            base.__init__, base.post_init = construct, post_init
            self.originals = None


_constructor = _Constructor()
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # not on Windows
    # The child of a fork must not get a lock that a thread held which it does not have.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
_contexts = 0
_replaced: list[tuple[Any, CodeType]] = []


def _functions() -> list[tuple[Any, Callable[..., Any]]]:
    """Return the functions to redirect whose modules are imported, and their stand-ins.

    A function that others have put in the place of PyTorch's is left alone: transformers has some
    that keep what is initialized, and that call PyTorch's.  So is a function whose parameters
    differ in another version.
    """
    found: list[tuple[Any, Callable[..., Any]]] = []
    for stand_in in _STAND_INS:
        function = getattr(torch.nn.init, stand_in.__name__)
        if getattr(function, "__globals__", None) is not vars(torch.nn.init):
            function = _FOUND[stand_in]
        if getattr(function, "__globals__", None) is vars(torch.nn.init):
            found.append((function, stand_in))
    timm: Any = sys.modules.get("timm.layers.weight_init")
    if hasattr(timm, "_trunc_normal_"):
        found.append((timm._trunc_normal_, _trunc_normal_))
    return [
        (function, stand_in)
        for function, stand_in in found
        if isinstance(function, FunctionType)
        and not function.__code__.co_freevars
        and not function.__code__.co_kwonlyargcount
        and function.__code__.co_varnames[: function.__code__.co_argcount]
        == stand_in.__code__.co_varnames[: stand_in.__code__.co_argcount]
    ]


def install() -> None:
    """Redirect the functions, unless another context has done so."""
    global _contexts
    with _lock:
        _contexts += 1
        if _contexts > 1:
            return
        _constructor.install()
        for function, stand_in in _functions():
            code = function.__code__
            if code is stand_in.__code__:  # an interrupt ended uninstall() too soon
                continue
            ORIGINALS[stand_in.__name__] = FunctionType(
                code, function.__globals__, function.__name__, function.__defaults__
            )
            _replaced.append((function, code))
            # The code before knows no such argument, so other threads may call it in between.
            function.__kwdefaults__ = {"redirected": redirected}
            function.__code__ = stand_in.__code__


def uninstall() -> None:
    """Restore the functions when the last context ends."""
    global _contexts
    with _lock:
        _contexts -= 1
        if not _contexts:
            for function, code in _replaced:
                function.__code__ = code
                function.__kwdefaults__ = None
            _replaced.clear()
            _constructor.uninstall()
