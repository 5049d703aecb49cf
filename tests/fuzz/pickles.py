"""Fuzz pickles of LazyArray, KeyedArray and SeedGenerator, and use what they make.

Pickles are trusted input: one can name any function.  This one may name only what such a pickle
holds, so what is tested is that damage gives an exception, and no crash in C or endless loop.
"""

import io
import pickle

import atheris
import common

with atheris.instrument_imports(include=["fastinit"]):
    import numpy as np

    import fastinit
    from fastinit import initializers

RANDOM = [initializers.TruncatedNormal(seed=1), initializers.RandomUniform(seed=2)]
OBJECTS = [
    *(init.lazy((30, 5), dtype) for init in RANDOM for dtype in ("float32", "float16")),
    initializers.TruncatedNormal(seed=1, lower=-1.0, upper=3.0).lazy((9, 4)),
    initializers.Constant(2.0).lazy((4, 4)),
    initializers.Identity().lazy((4, 5)),
    initializers.Orthogonal(seed=1, batch_axis=(0,)).lazy((2, 4, 4)),
    *(init.keyed(6) for init in RANDOM),
    fastinit.SeedGenerator(5),
]


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        whole = f"{module}.{name}"
        if whole not in NEEDED:
            raise pickle.UnpicklingError(f"not needed: {whole}")
        return super().find_class(module, name)


class _Listing(pickle.Unpickler):
    """List the names that the objects need."""

    def find_class(self, module, name):
        NEEDED.add(f"{module}.{name}")
        return super().find_class(module, name)


NEEDED = set()
for thing in OBJECTS:
    _Listing(io.BytesIO(pickle.dumps(thing))).load()


def target(raw):
    try:
        found = Unpickler(io.BytesIO(raw)).load()
    except Exception:  # a damaged pickle can raise anything
        return
    try:
        if isinstance(found, fastinit.LazyArray):
            found[(0,) * found.ndim]
            found[:2] if found.size < 1 << 16 else found[0:0]
            found.read(np.s_[...], np.zeros(3, "float32"))
        elif isinstance(found, fastinit.KeyedArray):
            if isinstance(found.dim, int) and found.dim < 1 << 16:
                found[[1, 2**63]]
        elif isinstance(found, fastinit.SeedGenerator):
            found.next()
        repr(found)
    except Exception:  # of an object with a state that none can have
        return


def seeds():
    for thing in OBJECTS:
        for protocol in (0, 2, 4, 5):
            yield pickle.dumps(thing, protocol)


if __name__ == "__main__":
    common.run(target, seeds())
