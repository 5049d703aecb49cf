"""Fuzz pickles of LazyArray, KeyedArray and SeedGenerator with other contents, and use them.

Pickles are trusted input: one can name any function, and damaged bytes may ask Python for any
amount of memory, or end the process in the pickled arrays of NumPy.  So the bytes are good here,
and the state that they hold is not: that gives an exception, and no crash in C or endless loop.
"""

import pickle

import atheris
import common

with atheris.instrument_imports(include=["fastinit"]):
    import numpy as np

    import fastinit
    from fastinit import _kernels, initializers
    from fastinit.initializers._orthogonal import StackSource

RANDOM = [
    initializers.TruncatedNormal(seed=1),
    initializers.RandomUniform(seed=2),
    initializers.TruncatedNormal(seed=1, lower=-1.0, upper=3.0),
    initializers.GlorotNormal(seed=3),
]
OBJECTS = [
    *(init.lazy((30, 5), dtype) for init in RANDOM for dtype in ("float32", "float16")),
    initializers.Constant(2.0).lazy((4, 4)),
    initializers.Identity().lazy((4, 5)),
    initializers.Orthogonal(seed=1, batch_axis=(0,)).lazy((2, 4, 4)),
    *(init.keyed(6) for init in RANDOM[:3]),
    initializers.Ones().keyed(3),
    fastinit.SeedGenerator(5),
]
VALUES = [None, True, -1, 0, 1, 3, 2**31, 2**32, 2**63, 2**64, 2**70, 1.5, float("nan"), "x", b"x",
          "uniform", "normal", "truncated", (), (3, 4), (2**40, 2), (-1, 4), [4, 4], {},
          np.dtype("float64"), np.dtype("int8"), np.dtype("O"), np.dtype("V3"), np.zeros(2),
          _kernels.Window(-1.0, 1.0), ("normal", 0.0, 1.0), ("uniform", 0.0, 2.0)]  # fmt: skip


class Altered:
    """Pickle as an object of a class with a state."""

    def __init__(self, cls, state):
        self.cls, self.state = cls, state

    def __reduce__(self):
        return object.__new__, (self.cls,), self.state


def altered(data, thing):
    """Return an object with up to three changes of its state, or of that of its source."""
    state = dict(thing.__getstate__())
    for _ in range(data.ConsumeIntInRange(0, 3)):
        name = data.PickValueInList(sorted(state))
        inner = state[name]
        if type(inner).__module__.startswith("fastinit") and data.ConsumeBool():
            if hasattr(inner, "__dict__"):
                state[name] = altered(data, inner)
        elif isinstance(inner, tuple) and inner and data.ConsumeBool():
            at = data.ConsumeIntInRange(0, len(inner) - 1)
            state[name] = (*inner[:at], data.PickValueInList(VALUES), *inner[at + 1 :])
        elif data.ConsumeIntInRange(0, 9) == 0:
            del state[name]
            if not state:
                break
        else:
            state[name] = data.PickValueInList(VALUES)
    return Altered(type(thing), state)


def target(raw):
    data = atheris.FuzzedDataProvider(raw)
    text = pickle.dumps(altered(data, data.PickValueInList(OBJECTS)))
    try:
        found = pickle.loads(text)
        if isinstance(found, fastinit.LazyArray):
            # 2**31 times a string is a string of 2 GiB, and an element takes a whole matrix of a
            # stack: both are what the state asks for, and no fault.
            few = all(isinstance(n, int) for n in found.shape) and found.size < 1 << 16
            if few or not isinstance(found.source, StackSource):
                found[(0,) * found.ndim]
            if few:
                found[:2]
            found.read(np.s_[...], np.zeros(3, "float32"))
        elif isinstance(found, fastinit.KeyedArray):
            if isinstance(found.dim, int) and found.dim < 1 << 16:
                found[[1, 2**63]]
        elif isinstance(found, fastinit.SeedGenerator):
            found.next()
        repr(found)
    except Exception:  # a state that none can have may raise anything
        return


def seeds():
    yield from (bytes((13 * n + 29 * k) % 256 for k in range(40)) for n in range(30))


if __name__ == "__main__":
    common.run(target, seeds())
