"""The Keras variable that calls an initializer."""

from __future__ import annotations

import sys
from typing import Any

import keras
from keras.src.backend.common import global_state


def variable_of_caller() -> Any | None:
    """Return the Keras variable whose constructor or value calls an initializer, if one does.

    Keras passes an initializer the shape and the dtype, but not the variable.  Keras's name scopes
    hold the name of the layer, but a variable that is created while Keras traces a layer is
    initialized later, outside of them.  The variable itself is always among the callers, as the
    ``self`` of a method in Keras's own modules.
    """
    frame = sys._getframe(1)
    while frame is not None:
        # Only Keras's frames are read: reading copies the locals, which keeps them alive.
        if frame.f_globals.get("__name__", "").startswith("keras."):
            found = frame.f_locals.get("self")
            if isinstance(found, keras.Variable):
                return found
        frame = frame.f_back  # type: ignore[assignment]
    return None


def is_placeholder() -> bool:
    """Return whether the caller is a variable without a value yet, in code that Keras traces.

    Then only the shape and the dtype count.  The values are asked for once more, afterwards, so
    they must not be drawn here.
    """
    tracing = global_state.get_global_attribute("stateless_scope") is not None
    return tracing and variable_of_caller() is not None
