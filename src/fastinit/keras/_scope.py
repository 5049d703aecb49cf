"""A context in which the initializers that Keras finds by name are this package's."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator, ExitStack
from typing import TYPE_CHECKING, Any, Self

from .._seeds import key
from ._seeds import ScopeSeeds, checked, enter_scope, keras_seed, leave_scope
from .initializers import by_name

if TYPE_CHECKING:
    from .._typing import Seed


class _Entered(threading.local):
    """The contexts that a thread has entered and not left, the innermost last."""

    def __init__(self) -> None:
        self.stacks: list[ExitStack] = []


class scope(ContextDecorator):  # in lower case, as contexts of the standard library are
    """A context in which initializers given by name or by default are this library's.

    Inside it, Keras finds the classes of :mod:`fastinit.keras.initializers` by its own names.
    An initializer that is made inside without a seed, by name or by its class, gives every weight a
    seed that depends on the scope's seed (the root) and the weight's path, such as
    ``dense/kernel``.  So each weight gets its own values, and the same ones on every run and
    backend.  This holds after the context has ended, too, so a layer may be built later.

    It affects only the thread that enters it, may be nested and entered again, and can decorate a
    function.  Like Keras's own contexts, it must not be left open across an ``await`` or a
    ``yield``, because other code of the thread would run inside it.

    Parameters
    ----------
    seed : int, SeedGenerator or numpy.random.Generator, optional
        The root, 0 <= seed < 2**64.  A generator gives the next root whenever the context is
        entered.  None draws one then, from the state that ``keras.utils.set_random_seed`` sets.

    Raises
    ------
    ValueError, TypeError
        The seed is out of range or of the wrong type.

    Notes
    -----
    The seed of a weight is ``fastinit.derive_seed(root, path)``, where ``path`` is the ``path`` of
    the Keras variable with two changes.  The numbers that Keras gives to layers without a name
    count from the context on: layers that existed before do not matter.  And a weight without a
    name is called ``variable``, without a number.  A second weight of one path has the path
    ``"dense/kernel//1"``; a second initializer that draws for one weight, ``"dense/kernel//draw
    1"``; and a call that initializes no weight, ``"//call 0"``, ``"//call 1"`` and so on.

    Examples
    --------
    >>> with fastinit.keras.scope(seed=0):
    ...     layer = keras.layers.Dense(4, kernel_initializer="he_normal")
    ...     layer.build((None, 8))
    """

    def __init__(self, seed: Seed = None) -> None:
        checked(seed)
        self.seed = seed
        self._entered = _Entered()

    def _recreate_cm(self) -> Self:
        return type(self)(self.seed)  # a decorated function may call itself

    def __enter__(self) -> Self:
        seeds = ScopeSeeds(keras_seed() if self.seed is None else key(self.seed))
        with ExitStack() as stack:
            stack.enter_context(by_name())
            enter_scope(seeds)
            stack.callback(leave_scope, seeds)
            self._entered.stacks.append(stack.pop_all())
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.stacks.pop().close()
