"""Initializers by name, configuration or array: ``get``, ``serialize`` and ``deserialize``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._buffers import as_array
from .._messages import did_you_mean, shown
from .._shapes import as_shape
from ._catalog import CATALOG, CLASSES
from ._constant import constant
from ._encoding import OURS, PLAIN, custom_object, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import DTypeLike

    from .._typing import Array, Shape


def serialize(initializer: Any) -> Any:
    """Return the configuration of an initializer, as Keras writes it.

    Parameters
    ----------
    initializer : Initializer, function or None
        A function must have a name: no lambda.

    Returns
    -------
    dict
        JSON can hold it.  Keras loads it wherever Keras has the initializer and the mode, or the
        class is registered with Keras.

    Raises
    ------
    TypeError
        An object without a configuration.

    Examples
    --------
    >>> from fastinit import initializers
    >>> initializers.serialize(initializers.Constant(3.0))["config"]
    {'value': 3.0}
    """
    return initializer if isinstance(initializer, PLAIN) else describe(initializer)


def _find(config: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Any:
    """Return the class or function that a configuration names; None where it is unknown.

    A bare name may be that of a custom object.  A whole configuration of a class of Keras's, which
    has no registered name, always means the class of this package.  So does a configuration that
    fastinit.keras wrote, whether that module is imported or not.
    """
    name = config["class_name"]
    if isinstance(name, str) and name == "function":
        function = config.get("config")
        if isinstance(function, str) and function.startswith(OURS):
            functions = {entry.name: entry.function for entry in CATALOG}
            return functions.get(function.removeprefix(OURS))
        return custom_object(function, custom_objects)
    if isinstance(name, str) and config.get("registered_name") == f"{OURS}{name}":
        return CLASSES.get(name)
    found = custom_object(config.get("registered_name", name), custom_objects)
    if found is not None:
        return found
    module = config.get("module", "")
    of_keras = isinstance(module, str) and module.partition(".")[0] == "keras"
    known = CLASSES.get(name) if isinstance(name, str) else None
    if of_keras and known is not None:
        return known
    found = custom_object(name, custom_objects)
    if found is None and module is None:
        raise TypeError(
            f"custom_objects must hold the custom class {shown(name)}, received {shown(config)}"
        )
    return known if found is None else found


def deserialize(
    config: Mapping[str, Any] | str | None, custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """Return the initializer that a configuration describes.

    Parameters
    ----------
    config : dict, str or None
        What :func:`serialize`, here or in Keras, wrote; or a name.
    custom_objects : dict, optional
        Classes and functions of the caller's own, by name.  Where Keras is imported, those of its
        custom object scopes come first, then those registered with it, as in Keras.

    Returns
    -------
    Initializer, function or None

    Raises
    ------
    ValueError
        An unknown name; a dictionary without ``class_name``; an argument out of range.
    TypeError
        Arguments that the class does not take.
    """
    if config is None:
        return None
    if isinstance(config, str):
        config = {"class_name": config, "config": {}}
    elif not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"config must be a dict with a class_name, received {shown(config)}")
    found = _find(config, custom_objects or {})
    if found is None:
        names = ", ".join(entry.name for entry in CATALOG)
        name = config["class_name"]
        if isinstance(name, str) and name == "function":
            name = config.get("config")
        near = did_you_mean(name, CLASSES.keys() - {"Initializer", "initializer"})
        raise ValueError(f"initializer must be one of {names}, received {shown(name)}{near}")
    if not isinstance(found, type):
        return found
    arguments = config.get("config")
    if arguments is not None and not isinstance(arguments, dict):
        raise TypeError(f"config of {found.__name__} must be a dict, received {shown(arguments)}")
    if not hasattr(found, "from_config"):
        raise TypeError(f"{found.__name__} must have from_config() to load from a configuration")
    return found.from_config(arguments or {})


def _from_array(values: Array) -> Callable[..., Array]:
    def initialize(shape: Shape, dtype: DTypeLike | None = None) -> Array:
        dims = as_shape(shape)
        if dims != values.shape:
            raise ValueError(
                f"shape must be that of the array, {shown(values.shape)}, received {shown(dims)}"
            )
        return constant(dims, values, dtype)

    return initialize


def get(identifier: Any) -> Any:
    """Return the initializer that an identifier stands for.

    Parameters
    ----------
    identifier : str, dict, type, callable, array or None
        A name (``"he_normal"``, ``"HeNormal"``, ``"normal"``, ..., or one that is registered with
        Keras, where Keras is imported: ``"package>Name"``), a configuration, a class, which
        is called without arguments, or any ``f(shape, dtype=None)``, which is returned as it is.
        An array becomes an initializer for arrays of its shape.

    Returns
    -------
    Initializer, callable or None

    Raises
    ------
    ValueError
        The identifier is none of these.
    TypeError
        A configuration with arguments that the class does not take.

    Examples
    --------
    >>> from fastinit import initializers
    >>> initializers.get("uniform")
    RandomUniform(minval=-0.05, maxval=0.05, seed=None)
    """
    found = identifier
    if identifier is None:
        return None
    if isinstance(identifier, (str, dict)):
        found = deserialize(identifier)
    elif isinstance(identifier, np.generic) or hasattr(type(identifier), "__array__"):
        try:
            return _from_array(as_array(identifier))
        except (TypeError, ValueError, RuntimeError):  # a symbolic tensor
            found = None
    if not callable(found):
        raise ValueError(f"identifier must name or be an initializer, received {shown(identifier)}")
    return found() if isinstance(found, type) else found
