"""Choose the initializer of each parameter of a model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from fnmatch import fnmatchcase
from inspect import signature
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from .._messages import shown
from ._constant import constant, ones, zeros
from ._variance_scaling import lecun_normal, variance_scaling

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Initializer: TypeAlias = Callable[..., Any]
    Rule: TypeAlias = (
        Mapping[str, Initializer | float] | Initializer | Callable[[str, Any], Initializer] | None
    )


_INPUTS = ("query", "key", "value")


def _kernel_rule(path: str, structs: dict[str, Any]) -> Any:
    """Return what flax's layers take by default for a kernel, or None where it cannot be told.

    One array may hold the kernels of several layers.  Its shape may be that of a convolution, and
    the axis of the layers would wrongly count.  A bias of one axis shows that there is one layer.
    """
    ndim = len(structs[path].shape)
    *above, layer, _ = ["", *path.split("/")]

    def shape(layer: str, name: str = "kernel") -> Any:
        found = structs.get("/".join([*above, layer, name])[1:])
        return None if found is None else tuple(found.shape)

    if layer in (*_INPUTS, "out"):
        # Those of attention: (features, heads, features of a head), and the reverse.
        out = shape("out")
        inputs = [shape(name) for name in _INPUTS]
        if ndim == 3 and all(at and out and at[1:] == out[:2] for at in inputs):
            return lecun_normal() if layer == "out" else lecun_normal(in_axis=0, out_axis=(1, 2))
    elif ndim in (4, 5) and shape(layer, "bias") is None:
        return lecun_normal()
    bias = shape(layer, "bias")
    if ndim == 2 or (ndim in (3, 4, 5) and bias is not None and len(bias) == 1):
        return lecun_normal()
    return None


def default_rule(path: str, structs: dict[str, Any]) -> Any:
    """Return what flax's layers take by default for a parameter of that name.

    Raises
    ------
    ValueError
        The name is none of theirs, or the parameter is no float, or a kernel that cannot be told.
    """
    struct = structs[path]
    name, ndim = path.rsplit("/", 1)[-1], len(struct.shape)
    hint = "give it a rule"
    if jnp.issubdtype(struct.dtype, jnp.inexact):
        if name == "kernel" and ndim >= 2:
            if rule := _kernel_rule(path, structs):
                return rule
            hint += (
                " such as lecun_normal() for a convolution, or lecun_normal(batch_axis=0) for "
                "several matrices"
            )
        if name == "embedding" and ndim == 2:
            return variance_scaling(1.0, "fan_in", "normal", out_axis=0)
        if name in ("bias", "mean"):
            return zeros
        if name in ("scale", "var"):
            return ones
    raise ValueError(
        f"no default is known for {path}, of shape {shown(struct.shape)} and dtype {struct.dtype}: "
        f"{hint}"
    )


def _is_initializer(rule: Callable[..., Any]) -> bool:
    """Return whether a function can be called with a key, a shape and a dtype."""
    try:
        signature(rule).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _check_initializer(initializer: Any, what: str) -> Any:
    if not callable(initializer) or not _is_initializer(initializer):
        raise TypeError(
            f"{what} must be a function of a key, a shape and a dtype, "
            f"received {shown(initializer)}"
        )
    return initializer


def _by_patterns(rules: Mapping[str, Any], names: list[str]) -> dict[str, Initializer]:
    checked: dict[str, Initializer] = {}
    for pattern, rule in rules.items():
        if not isinstance(pattern, str):
            raise TypeError(f"the patterns of rule must be strings, received {shown(pattern)}")
        value = np.asarray(rule)  # of Python or NumPy, or an array without axes
        if value.ndim == 0 and jnp.issubdtype(value.dtype, np.number):
            checked[pattern] = constant(rule)
        else:
            what = f"the rule of {pattern!r}, unless it is a number,"
            checked[pattern] = _check_initializer(rule, what)
    found: dict[str, Initializer] = {}
    used = set()
    for name in names:
        for pattern, rule in checked.items():
            if fnmatchcase(name, pattern):
                found[name] = rule
                used.add(pattern)
                break
        else:
            raise ValueError(
                f"no pattern of rule matches {name}: a pattern must match the whole path, as those "
                "of fnmatch do; '*' matches every path"
            )
    for pattern in checked:
        if pattern not in used:
            matches = any(fnmatchcase(name, pattern) for name in names)
            why = (
                "is never reached, as patterns before it match the same"
                if matches
                else "matches no parameter"
            )
            warnings.warn(f"the pattern {pattern!r} of rule {why}", stacklevel=4)
    return found


def initializers_of(rule: Rule, structs: dict[str, Any]) -> dict[str, Initializer]:
    """Return the initializer of each parameter, by its path.

    Raises
    ------
    ValueError
        No pattern matches a parameter, or there is no default for it.
    TypeError
        A rule is none of those that :func:`fastinit.jax.initialize` takes.

    Warns
    -----
    UserWarning
        A pattern is never used.
    """
    if rule is None:
        return {name: default_rule(name, structs) for name in structs}
    if isinstance(rule, Mapping):
        return _by_patterns(rule, list(structs))
    if not callable(rule):
        raise TypeError(
            "rule must be an initializer, a mapping from patterns, a function of a path and a "
            f"jax.ShapeDtypeStruct, or None, received {shown(rule)}"
        )
    if _is_initializer(rule):
        return dict.fromkeys(structs, rule)
    return {
        name: _check_initializer(rule(name, struct), f"what rule returns for {name}")
        for name, struct in structs.items()
    }
