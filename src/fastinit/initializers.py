"""A drop-in for ``keras.initializers``: the same names, arguments and configurations.

>>> from fastinit import initializers
>>> initializers.HeNormal(seed=1)((3, 3, 64, 128)).std().round(4)
np.float32(0.0589)

The classes, their snake_case names (which are the classes) and the older spellings come from the
table in ``_registry.py``; each has its array function in :mod:`fastinit`.
"""

import numpy as np

from . import _registry
from ._arrays import as_shape
from ._base import Initializer
from ._serialization import _PLAIN, describe

Initializer.__module__ = __name__
globals().update(_registry.EXPORTED)

__all__ = [
    "Initializer",
    "deserialize",
    "for_activation",
    "get",
    "serialize",
    *_registry.EXPORTED,
]


def serialize(initializer):
    """The configuration of an initializer, as Keras writes it.

    Parameters
    ----------
    initializer : Initializer, function or None
        Not a lambda.

    Returns
    -------
    dict
        JSON-serialisable.  Keras loads it, wherever Keras has the initializer and the mode.

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
    return initializer if isinstance(initializer, _PLAIN) else describe(initializer)


def _find(config, custom_objects):
    """The class, or function, that a configuration names; None where it is unknown."""
    custom = custom_objects or {}
    name = config["class_name"]
    if name == "function":
        return custom.get(config.get("config")) if isinstance(config.get("config"), str) else None
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and key in custom:
            return custom[key]
    if config.get("module", "") is None:
        raise TypeError(f"custom_objects must hold the custom class {name!r}, received {config!r}")
    return _registry.NAMES.get(name) if isinstance(name, str) else None


def deserialize(config, custom_objects=None):
    """The initializer that a configuration describes.

    Parameters
    ----------
    config : dict, str or None
        Written by :func:`serialize`, here or in Keras; or a name.
    custom_objects : dict, optional
        Classes and functions of the caller's own, by name.

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
        raise ValueError(f"config must be a dict with a class_name, received {config!r}")
    found = _find(config, custom_objects)
    if found is None:
        names = ", ".join(row.name for row in _registry.ROWS)
        raise ValueError(f"initializer must be one of {names}, received {config['class_name']!r}")
    if not isinstance(found, type):
        return found
    arguments = config.get("config")
    if arguments is not None and not isinstance(arguments, dict):
        raise TypeError(f"config of {found.__name__} must be a dict, received {arguments!r}")
    return found.from_config(arguments or {})


def _from_array(values):
    def initialize(shape, dtype=None):
        if as_shape(shape) != values.shape:
            raise ValueError(
                f"shape must be that of the array, {values.shape}, received shape={shape}"
            )
        return _registry.FUNCTIONS["constant"](shape, values, dtype)

    return initialize


def get(identifier):
    """The initializer that an identifier stands for.

    Parameters
    ----------
    identifier : str, dict, type, callable, array or None
        A name (``"he_normal"``, ``"HeNormal"``, ``"normal"``, ...), a configuration, a class, which
        is called without arguments, or any ``f(shape, dtype=None)``, which is returned as it is.
        An array becomes an initializer for arrays of its shape.

    Returns
    -------
    Initializer, callable or None

    Raises
    ------
    ValueError
        Nothing of these.
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
        return _from_array(np.asarray(identifier))
    if not callable(found):
        raise ValueError(f"identifier must name or be an initializer, received {identifier!r}")
    return found() if isinstance(found, type) else found


# Saturating on both sides, or straight through the origin: Glorot.  Straight on one side and flat,
# or nearly so, on the other: He.  Géron, Hands-On Machine Learning, table 11-1.
_GLOROT = """none linear tanh hard_tanh softsign sigmoid logistic hard_sigmoid sparse_sigmoid
    softmax log_softmax sparsemax"""
_HE = """relu relu6 leaky_relu prelu rrelu elu celu gelu silu swish hard_silu hard_swish mish
    softplus squareplus sparse_plus"""
_ACTIVATIONS = {
    name: family
    for family, names in (("glorot", _GLOROT), ("he", _HE), ("lecun", "selu"))
    for name in names.split()
}


def _plain(name):
    return name.replace("_", "").lower()


_BY_PLAIN_NAME = {_plain(name): family for name, family in _ACTIVATIONS.items()}


def for_activation(name, distribution="normal", seed=None):
    """The initializer that suits the activation function after the layer.

    Parameters
    ----------
    name : str, callable or None
        Glorot: none (also None), linear, tanh, hard_tanh, softsign, sigmoid, logistic,
        hard_sigmoid, sparse_sigmoid, softmax, log_softmax, sparsemax.  He: relu, relu6, leaky_relu,
        prelu, rrelu, elu, celu, gelu, silu, swish, hard_silu, hard_swish, mish, softplus,
        squareplus, sparse_plus.  LeCun: selu.  Case and underscores do not matter; of a function
        or a class its name counts, of another object that of its class.
    distribution : {"normal", "uniform"}
        The normal is truncated at two standard deviations.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for every initializer.

    Returns
    -------
    Initializer

    Raises
    ------
    ValueError
        An unknown activation or distribution.

    Notes
    -----
    Géron, Hands-On Machine Learning with Scikit-Learn, Keras & TensorFlow (2019), table 11-1, which
    says "ReLU and variants": here all that are the identity, or tend to it, on one side alone.

    Examples
    --------
    >>> from fastinit import initializers
    >>> initializers.for_activation("relu", seed=1)
    HeNormal(seed=1, input_axes=None, output_axes=None)
    """
    if name is None or isinstance(name, str):
        text = "none" if name is None else name
    else:
        text = getattr(name, "__name__", type(name).__name__)
    family = _BY_PLAIN_NAME.get(_plain(text))
    if family is None:
        raise ValueError(f"name must be one of {', '.join(_ACTIVATIONS)}, received {name!r}")
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"distribution must be normal or uniform, received {distribution!r}")
    return _registry.NAMES[f"{family}_{distribution}"](seed=seed)
