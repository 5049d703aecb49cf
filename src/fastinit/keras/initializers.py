"""A drop-in replacement for ``keras.initializers``, with this library's random values.

>>> from fastinit.keras import initializers
>>> layer = keras.layers.Dense(64, kernel_initializer=initializers.HeNormal(seed=1))

The random classes are subclasses of Keras's own and registered with Keras, so layers, optimizers,
copies and saved models treat them as Keras's.  Those that draw nothing are Keras's own.  As in
Keras, each class also has a name in snake_case.

The random classes share these arguments:

seed
    An integer, 0 <= seed < 2**64, a ``keras.random.SeedGenerator``, a ``fastinit.SeedGenerator`` or
    a ``numpy.random.Generator``.  With an integer an instance gives the same values at every call,
    those of the class of the same name in :mod:`fastinit.initializers`; a generator advances.
    An instance that is made without a seed inside a :class:`fastinit.keras.scope` gets a seed for
    each weight from the scope.  Elsewhere it repeats its values, as in Keras, and
    ``keras.utils.set_random_seed`` determines them.
input_axes, output_axes
    Sequences of integers: the axes whose sizes multiply to fan_in and fan_out.  As in Keras they
    count only where both are given.

They are called with ``(shape, dtype=None)`` and return a tensor of Keras's backend.  They raise
ValueError or TypeError for arguments that are out of range or of the wrong type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras.initializers import (
    STFT,
    Constant,
    Identity,
    IdentityInitializer,
    Initializer,
    Ones,
    STFTInitializer,
    Zeros,
    constant,
    identity,
    ones,
    serialize,
    stft,
    zeros,
)
from keras.src.backend.common import global_state

from .._fans import check_scaling
from ..initializers import _orthogonal, _random, _variance_scaling
from ..initializers._catalog import CATALOG
from ._sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import SupportsFloat, SupportsIndex, TypeAlias

    from .._typing import Seed
    from ..initializers._base import Initializer as ArrayInitializer

    Axes: TypeAlias = Sequence[SupportsIndex] | None

__all__ = [
    "STFT",
    "Constant",
    "DeltaOrthogonal",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "StandardUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "delta_orthogonal",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "standard_uniform",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]


@keras.saving.register_keras_serializable("fastinit")
class RandomUniform(Sampler, keras.initializers.RandomUniform):
    """Draw from the uniform distribution on [minval, maxval).

    Parameters
    ----------
    minval, maxval : float
        Bounds; ``maxval`` itself is never returned unless it equals ``minval``, but that rounding
        to a float of 8 bits may give it or pass a bound.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for all classes: see :mod:`fastinit.keras.initializers`.
    """

    def __init__(
        self, minval: SupportsFloat = -0.05, maxval: SupportsFloat = 0.05, seed: Seed = None
    ) -> None:
        super().__init__(minval, maxval, seed=0)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _random.RandomUniform(self.minval, self.maxval, seed)


@keras.saving.register_keras_serializable("fastinit")
class RandomNormal(Sampler, keras.initializers.RandomNormal):
    """Draw from the normal distribution.

    Parameters
    ----------
    mean, stddev : float
        Mean and standard deviation.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for all classes: see :mod:`fastinit.keras.initializers`.
    """

    def __init__(
        self, mean: SupportsFloat = 0.0, stddev: SupportsFloat = 0.05, seed: Seed = None
    ) -> None:
        super().__init__(mean, stddev, seed=0)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _random.RandomNormal(self.mean, self.stddev, seed)


@keras.saving.register_keras_serializable("fastinit")
class TruncatedNormal(Sampler, keras.initializers.TruncatedNormal):
    """Draw from the normal distribution between two bounds.

    Parameters
    ----------
    mean, stddev : float
        Mean and standard deviation of the normal distribution before truncation.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for all classes: see :mod:`fastinit.keras.initializers`.
    lower, upper : float, optional
        Bounds in standard deviations, ``lower < upper``; one or both may be infinite.  A
        configuration has them only if they differ from -2 and 2, the only bounds of Keras.
    """

    def __init__(
        self,
        mean: SupportsFloat = 0.0,
        stddev: SupportsFloat = 0.05,
        seed: Seed = None,
        *,
        lower: SupportsFloat = -2.0,
        upper: SupportsFloat = 2.0,
    ) -> None:
        super().__init__(mean, stddev, seed=0)
        self.lower = lower
        self.upper = upper
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _random.TruncatedNormal(
            self.mean, self.stddev, seed, lower=self.lower, upper=self.upper
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, the bounds only where Keras lacks them."""
        config = super().get_config()
        if (self.lower, self.upper) != (-2, 2):
            config |= {"lower": float(self.lower), "upper": float(self.upper)}
        return config


@keras.saving.register_keras_serializable("fastinit")
class VarianceScaling(Sampler, keras.initializers.VarianceScaling):
    """Draw from a distribution whose variance adapts to the shape: scale / max(1, fan).

    Parameters
    ----------
    scale : float
        Variance times fan, > 0.
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        The fan that divides: the number of inputs, of outputs, their mean, or their geometric mean
        (which Keras lacks).
    distribution : {"truncated_normal", "untruncated_normal", "uniform", "normal"}
        ``"normal"`` means ``"truncated_normal"``, as in Keras.
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """

    def __init__(
        self,
        scale: SupportsFloat = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ) -> None:
        scale, mode, distribution = check_scaling(scale, mode, distribution)
        # Keras's constructor refuses "fan_geo_avg", so it gets another mode.
        known = "fan_avg" if mode == "fan_geo_avg" else mode
        super().__init__(scale, known, distribution, 0, input_axes, output_axes)
        self.mode = mode
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        axes = _both(self.input_axes, self.output_axes)
        return _variance_scaling.VarianceScaling(
            self.scale, self.mode, self.distribution, seed, *axes
        )


def _both(input_axes: Axes, output_axes: Axes) -> tuple[Axes, Axes]:
    """Return the axes if both are given; Keras ignores one alone."""
    return (None, None) if input_axes is None or output_axes is None else (input_axes, output_axes)


@keras.saving.register_keras_serializable("fastinit")
class LecunUniform(Sampler, keras.initializers.LecunUniform):
    """Draw from LeCun's uniform distribution.

    U(-r, r) with r = sqrt(3 / fan_in).

    Parameters
    ----------
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, section 4.6.
    """

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(0, input_axes, output_axes)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _variance_scaling.LecunUniform(seed, *_both(self.input_axes, self.output_axes))


@keras.saving.register_keras_serializable("fastinit")
class LecunNormal(Sampler, keras.initializers.LecunNormal):
    """Draw from LeCun's truncated normal distribution.

    The standard deviation is sqrt(1 / fan_in), that of a normal distribution truncated at two of
    its own standard deviations.

    Parameters
    ----------
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    Klambauer et al., NeurIPS 2017 (with SELU); LeCun, Bottou, Orr & Müller, Efficient
    BackProp, 1998, section 4.6.
    """

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(0, input_axes, output_axes)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _variance_scaling.LecunNormal(seed, *_both(self.input_axes, self.output_axes))


@keras.saving.register_keras_serializable("fastinit")
class GlorotUniform(Sampler, keras.initializers.GlorotUniform):
    """Draw from Glorot's (Xavier's) uniform distribution.

    U(-r, r) with r = sqrt(6 / (fan_in + fan_out)).

    Parameters
    ----------
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 16.
    """

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(0, input_axes, output_axes)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _variance_scaling.GlorotUniform(seed, *_both(self.input_axes, self.output_axes))


@keras.saving.register_keras_serializable("fastinit")
class GlorotNormal(Sampler, keras.initializers.GlorotNormal):
    """Draw from Glorot's (Xavier's) truncated normal distribution.

    The standard deviation is sqrt(2 / (fan_in + fan_out)), that of a normal distribution truncated
    at two of its own standard deviations.

    Parameters
    ----------
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 12.
    """

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(0, input_axes, output_axes)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _variance_scaling.GlorotNormal(seed, *_both(self.input_axes, self.output_axes))


@keras.saving.register_keras_serializable("fastinit")
class HeUniform(Sampler, keras.initializers.HeUniform):
    """Draw from He's (Kaiming's) uniform distribution.

    U(-r, r) with r = sqrt(6 / fan_in).

    Parameters
    ----------
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(0, input_axes, output_axes)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _variance_scaling.HeUniform(seed, *_both(self.input_axes, self.output_axes))


@keras.saving.register_keras_serializable("fastinit")
class HeNormal(Sampler, keras.initializers.HeNormal):
    """Draw from He's (Kaiming's) truncated normal distribution.

    The standard deviation is sqrt(2 / fan_in), that of a normal distribution truncated at two of
    its own standard deviations.

    Parameters
    ----------
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    He, Zhang, Ren & Sun, ICCV 2015, equation 10.
    """

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(0, input_axes, output_axes)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _variance_scaling.HeNormal(seed, *_both(self.input_axes, self.output_axes))


@keras.saving.register_keras_serializable("fastinit")
class StandardUniform(Sampler, keras.initializers.VarianceScaling):
    """Draw from the uniform distribution that was usual before Glorot's.

    U(-r, r) with r = sqrt(1 / fan_in).  Keras lacks this class.

    Parameters
    ----------
    seed, input_axes, output_axes
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    Glorot & Bengio, AISTATS 2010, equation 1.
    """

    def __init__(
        self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(1 / 3, "fan_in", "uniform", 0, input_axes, output_axes)
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _variance_scaling.StandardUniform(seed, *_both(self.input_axes, self.output_axes))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        config = super().get_config()
        for fixed in ("scale", "mode", "distribution"):
            del config[fixed]
        return config


@keras.saving.register_keras_serializable("fastinit")
class Orthogonal(Sampler, keras.initializers.Orthogonal):
    """Draw a random matrix with orthonormal columns, or rows where it is wide, times the gain.

    The matrix is (prod(shape[:-1]), shape[-1]) and Haar distributed: uniform among all of its kind.

    Parameters
    ----------
    gain : float
        Factor of the orthogonal matrix.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for all classes: see :mod:`fastinit.keras.initializers`.
    batch_axis : int or sequence of int, optional
        The first axes of the shape, as many as are named: each index there has a matrix of its own.
        A configuration has it only where it is given, since Keras lacks it.

    Notes
    -----
    Saxe, McClelland & Ganguli, ICLR 2014; Stewart, SIAM J. Numer. Anal. 17 (1980) 403-409.
    """

    def __init__(
        self,
        gain: SupportsFloat = 1.0,
        seed: Seed = None,
        batch_axis: SupportsIndex | Sequence[SupportsIndex] | None = None,
    ) -> None:
        super().__init__(gain, 0)
        self.batch_axis = batch_axis
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _orthogonal.Orthogonal(self.gain, seed, self.batch_axis)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, ``batch_axis`` only where it is given."""
        config = super().get_config()
        if self.batch_axis is not None:
            config["batch_axis"] = self.batch_axis
        return config


@keras.saving.register_keras_serializable("fastinit")
class DeltaOrthogonal(Sampler):
    """Draw a convolution kernel that is an orthogonal matrix in the middle of its window.

    The shape has three to five dimensions.  Keras lacks this class.

    Parameters
    ----------
    gain : float
        Factor of the orthogonal matrix.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        As for all classes: see :mod:`fastinit.keras.initializers`.

    Notes
    -----
    Xiao et al., ICML 2018, algorithm 1.
    """

    def __init__(self, gain: SupportsFloat = 1.0, seed: Seed = None) -> None:
        self.gain = gain
        self._set_seed(seed)

    def arrays(self, seed: int) -> ArrayInitializer:
        """Return the initializer of arrays with the same values."""
        return _orthogonal.DeltaOrthogonal(self.gain, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        config = super().get_config()
        config["gain"] = self.gain
        return config


random_uniform = RandomUniform
random_normal = RandomNormal
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
lecun_uniform = LecunUniform
lecun_normal = LecunNormal
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
standard_uniform = StandardUniform
orthogonal = Orthogonal
OrthogonalInitializer = Orthogonal
delta_orthogonal = DeltaOrthogonal

# The names by which layers and configurations ask Keras for a random initializer.
NAMES: dict[str, type[Sampler]] = {
    "RandomUniform": RandomUniform,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "RandomNormal": RandomNormal,
    "random_normal": RandomNormal,
    "normal": RandomNormal,
    "TruncatedNormal": TruncatedNormal,
    "truncated_normal": TruncatedNormal,
    "VarianceScaling": VarianceScaling,
    "variance_scaling": VarianceScaling,
    "LecunUniform": LecunUniform,
    "lecun_uniform": LecunUniform,
    "LecunNormal": LecunNormal,
    "lecun_normal": LecunNormal,
    "GlorotUniform": GlorotUniform,
    "glorot_uniform": GlorotUniform,
    "GlorotNormal": GlorotNormal,
    "glorot_normal": GlorotNormal,
    "HeUniform": HeUniform,
    "he_uniform": HeUniform,
    "HeNormal": HeNormal,
    "he_normal": HeNormal,
    "StandardUniform": StandardUniform,
    "standard_uniform": StandardUniform,
    "Orthogonal": Orthogonal,
    "orthogonal": Orthogonal,
    "OrthogonalInitializer": Orthogonal,
    "DeltaOrthogonal": DeltaOrthogonal,
    "delta_orthogonal": DeltaOrthogonal,
}


def by_name(custom_objects: Mapping[str, Any] | None = None) -> AbstractContextManager[Any]:
    """Return a context in which Keras finds these classes by the names of its own.

    The user's objects of the same names come first, as in Keras: those that are given, those of the
    contexts around it, and those that are registered.
    """
    around = global_state.get_global_attribute("custom_objects_scope_dict") or {}
    registered = keras.saving.get_custom_objects()
    names = {name: cls for name, cls in NAMES.items() if name not in registered}
    context: AbstractContextManager[Any] = keras.saving.custom_object_scope(
        {**names, **(custom_objects or {}), **around}
    )
    return context


def _of_keras(config: Any) -> Any:
    """Return a configuration of a class of Keras's with the class's name as its registered name.

    Keras then looks for the class by that name, and finds this module's.
    """
    if isinstance(config, dict) and config.get("module") == "keras.initializers":
        return {**config, "registered_name": config.get("class_name")}
    return config


def deserialize(
    config: Mapping[str, Any] | str | None, custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """Return the initializer that a configuration describes, as ``keras.initializers`` does.

    The names of Keras's random classes mean the classes of this module.

    Parameters
    ----------
    config : mapping, str or None
        What ``serialize`` returned, or a name.
    custom_objects : mapping, optional
        Objects by their names, which come before those of this module and of Keras.
    """
    with by_name(custom_objects):
        return keras.initializers.deserialize(_of_keras(config), custom_objects)


def get(identifier: Any) -> Any:
    """Return the initializer that an identifier stands for, as ``keras.initializers`` does.

    The names of Keras's random classes mean the classes of this module.

    Parameters
    ----------
    identifier : str, mapping, callable or None
        A name, a configuration, or an initializer, which is returned as it is.
    """
    with by_name():
        return keras.initializers.get(_of_keras(identifier))


# A layer may be given a function of this library: a saved model then names it.
for _entry in CATALOG:
    keras.saving.register_keras_serializable("fastinit")(_entry.function)
