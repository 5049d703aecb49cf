"""Convert objects to JSON and back, in the format of Keras 3."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._buffers import as_array
from .._messages import shown, type_of
from .._seeds import SeedGenerator
from .._shapes import name_of_dtype

OURS = "fastinit>"  # before the names of what fastinit.keras registers with Keras

PLAIN = (str, int, float, bool, type(None))  # what JSON holds as it is


def encode(value: Any) -> Any:
    """Return what JSON can hold for an argument of an initializer."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, np.random.Generator):
        raise TypeError(
            "seed is a numpy.random.Generator, which has no configuration; "
            "fastinit.SeedGenerator has one"
        )
    if hasattr(value, "get_config") or isinstance(value, types.FunctionType):
        return describe(value)
    if hasattr(value, "__array__"):
        array = as_array(value)
        if array.ndim == 0:
            return array.item()
        config = {"value": array.tolist(), "dtype": array.dtype.name}
        return {"class_name": "__numpy__", "config": config}
    name = name_of_dtype(value)
    if name is not None:
        return name
    raise TypeError(f"cannot serialize {shown(value)} of type {type_of(value)}")


def _array(config: Any) -> Any:
    if not isinstance(config, dict) or not {"value", "dtype"} <= config.keys():
        raise ValueError(f"config of an array must have value and dtype, received {shown(config)}")
    return np.array(config["value"], config["dtype"])


def decode(config: Any) -> Any:
    """Return the argument that :func:`encode`, or Keras, described."""
    if isinstance(config, list):
        return [decode(item) for item in config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {name: decode(item) for name, item in config.items()}
    if config["class_name"] in ("__numpy__", "__tensor__"):
        return _array(config["config"])
    if config["class_name"] == "SeedGenerator":
        return SeedGenerator.from_config(config["config"])
    if config.get("registered_name") == f"{OURS}Seed":
        return config["config"]["value"]
    return config  # an object that a subclass holds: as in Keras its constructor makes it


def _ask_keras(question: str, *arguments: Any) -> Any:
    """Return what a function of keras.saving returns; None where Keras is not imported.

    Nothing is registered with Keras before it is imported, so it is not imported here.
    """
    saving = getattr(sys.modules.get("keras"), "saving", None)
    function = getattr(saving, question, None)  # there may be none while Keras is being imported
    return None if function is None else function(*arguments)


def _name_in_keras(value: Any) -> str | None:
    """Return the name, "package>name", under which a class or function is registered with Keras."""
    name = _ask_keras("get_registered_name", value)
    return None if name == value.__name__ else name  # its own name: it is not registered


def custom_object(name: object, custom_objects: Mapping[str, Any]) -> Any:
    """Return the custom class or function of a name, or None.

    As in Keras, the scopes of Keras come first, then its registry, then ``custom_objects``.
    """
    if not isinstance(name, str):
        return None
    found = _ask_keras("get_registered_object", name)
    return custom_objects.get(name) if found is None else found


def describe(value: Any) -> dict[str, Any]:
    """Return the dictionary that Keras writes for an object: its module, class and arguments.

    What is registered with Keras gets its registered name, by which Keras finds it.
    """
    registered: str | None
    module: str | None
    if isinstance(value, types.FunctionType):
        if value.__name__ == "<lambda>":
            raise TypeError("cannot serialize a lambda: give the function a name")
        module, name, registered = "builtins", "function", "function"
        config: Any = _name_in_keras(value) or value.__name__
    elif hasattr(value, "get_config"):
        cls = type(value)
        module, name, registered = cls.__module__, cls.__name__, cls.__name__
        # vars(), since a subclass must not inherit its base's place in Keras.
        home = "keras.random" if name == "SeedGenerator" else vars(cls).get("_config_module")
        # fastinit.keras registers SeedGenerator, but a configuration must not depend on imports.
        in_keras = None if name == "SeedGenerator" else _name_in_keras(cls)
        if in_keras is not None:
            registered = in_keras
        elif home is not None:
            module = home
            registered = None if home.startswith("keras.") else name
        if module == "__main__":
            module = None
        config = encode(value.get_config())
    else:
        raise TypeError(f"cannot serialize {shown(value)}: it has no get_config()")
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}
