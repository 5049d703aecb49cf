"""Make every entry point compute in the default modes, and hold no buffer after an error."""

from __future__ import annotations

import ctypes
import sys
from functools import wraps
from traceback import clear_frames
from typing import TYPE_CHECKING

from ._kernels import enter_default_modes, leave_default_modes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")


def release_views(error: BaseException) -> None:
    """Drop what the frames of an error's traceback hold of ``out``.

    Shared memory and mmap cannot be closed while there is a view of them, not even by a ``finally``
    that the error passes.  The functions of this package that still run have ``out`` as an
    argument, or among ``args`` and ``kwargs``, and the traceback will hold their frames, too; the
    view may be the caller's only one, such as ``shm.buf[:64]``.  The function that calls this drops
    its arrays itself.
    """
    clear_frames(error.__traceback__)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        # A frame of a module or a class has no such names, and its variables must stay.
        if names := {"out", "args", "kwargs"}.intersection(frame.f_code.co_varnames):
            _forget(frame, names)
        frame = frame.f_back


_PACKAGE = f"{__package__}."


def _forget(frame: FrameType, names: set[str]) -> None:
    """Set variables of a running function to None."""
    variables = frame.f_locals
    for name in names:
        variables[name] = None
    if sys.version_info < (3, 13):  # before PEP 667 they are copies
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
        variables.clear()


def entry_point(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function compute in the default floating-point modes, and release ``out`` on error.

    The kernels set the modes themselves.  The arithmetic of Python and NumPy, and their conversions
    from and to decimals, would otherwise follow the caller's modes.  The wrapper takes 0.2 us, so
    the functions that small calls go through do the same in their own code.
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
