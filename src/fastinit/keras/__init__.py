"""Use this library's values in Keras: subclasses of Keras's initializers, and a scope.

>>> from fastinit.keras import initializers
>>> layer = keras.layers.Dense(64, kernel_initializer=initializers.HeNormal(seed=1))

>>> import fastinit.keras
>>> with fastinit.keras.scope(seed=0):
...     model = build()

:mod:`fastinit.keras.initializers` has the names of ``keras.initializers``; its random classes are
subclasses of Keras's, with other values.  In a :class:`scope`, initializers that are given by name
or by default are these, and each weight has a seed that depends on its path.
"""

try:
    import keras as _keras
except ModuleNotFoundError as error:
    if error.name != "keras":
        raise  # Keras is there, and its backend is not
    raise ModuleNotFoundError(
        "fastinit.keras needs Keras (the extra 'keras' has it) and one of its backends: "
        "pip install keras jax",
        name="keras",
    ) from None

if tuple(int(part) for part in _keras.__version__.split(".")[:2]) < (3, 15):
    raise ImportError(
        f"fastinit.keras needs Keras 3.15 or later, found {_keras.__version__}; "
        "fastinit.initializers needs no Keras"
    )

from . import initializers
from ._explain import explain
from ._lsuv import lsuv
from ._scope import scope

__all__ = ["explain", "initializers", "lsuv", "scope"]
