"""What every entry point does alike: it computes in the default modes, and lets buffers go."""

from __future__ import annotations

from functools import wraps
from traceback import clear_frames
from typing import TYPE_CHECKING

from ._kernels import enter_default_modes, leave_default_modes

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")


def release_views(error: BaseException) -> None:
    """Drop the arrays on ``out`` that the frames of an error's traceback hold.

    Shared memory and mmap cannot be closed while there are any, not even by a ``finally`` that the
    error passes.  The caller's own frame is still running: it drops its arrays itself.
    """
    clear_frames(error.__traceback__)


def entry_point(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function compute as if no floating-point mode was set, and hold nothing by an error.

    The kernels do the first for themselves.  The arithmetic of Python and NumPy, and their
    conversions from and to decimals, follow the caller's modes otherwise.  It takes 0.2 us, so the
    functions that calls for a few elements go through say the same in their own lines.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        modes = enter_default_modes()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            release_views(error)
            raise
        finally:
            if modes is not None:
                leave_default_modes(modes)

    return call
