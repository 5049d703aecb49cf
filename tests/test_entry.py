"""What all entry points share: they release buffers, and a call that is refused changes nothing."""

import mmap
import re
import sys
from contextlib import closing
from functools import partial
from inspect import signature
from multiprocessing import shared_memory

import numpy as np
import pytest

import fastinit
from fastinit import initializers
from fastinit.initializers._catalog import CATALOG

LAZY = {
    "random rows": initializers.RandomNormal(seed=1).lazy((4, 5)),
    "constant": initializers.Constant(2.0).lazy((4, 5)),
    "diagonal": initializers.Identity(2.0).lazy((4, 5)),
    "stack": initializers.Orthogonal(seed=1, batch_axis=0).lazy((4, 3, 5)),
}
KEYED = {
    "random": initializers.RandomNormal(seed=1).keyed(5),
    "constant": initializers.Ones().keyed(5),
}
SHAPES = {"stft": (8, 1, 5), "delta_orthogonal": (3, 4, 5)}


def filling(name, arguments):
    """Return a call that fills `out` after the shape and dtype are found to be right."""
    function = getattr(fastinit, name)
    return lambda out: function(SHAPES.get(name, (8, 5)), out=out, **arguments)


# What each parameter refuses, for float32.
REFUSED = {
    "seed": -1,
    "mean": float("nan"),
    "stddev": -1,
    "minval": 1e39,
    "scale": 0,
    "mode": "fan",
    "distribution": "gamma",
    "input_axes": [9],
    "value": 1e39,
    "gain": 1e39,
    "side": "left",
    "window": [1.0],
    "scaling": "power",
    "batch_axis": 1,
}


def refusals():
    """Yield (name, call) of every entry point that takes `out`, each with one bad argument."""
    for entry in CATALOG:
        yield f"{entry.name}, dtype", filling(entry.name, {"dtype": "S4"})
        shaped = getattr(fastinit, entry.name)
        yield f"{entry.name}, shape", partial(shaped, (3, -1, 5), dtype="float32")
        yield f"{entry.name}, size", partial(shaped, (3, 1, 5), dtype="float32")
        for name in REFUSED.keys() & signature(entry.function).parameters.keys():
            arguments = {"dtype": "float32", name: REFUSED[name]}
            if name == "input_axes":
                arguments["output_axes"] = [0]
            yield f"{entry.name}, {name}", filling(entry.name, arguments)
    words = fastinit.random_bits
    yield "random_bits, seed", lambda out: words((8, 5), -1, "uint32", out=out)
    yield "random_bits, dtype", lambda out: words((8, 5), 1, "float32", out=out)
    for name, lazy in LAZY.items():
        yield f"lazy {name}, index", partial(lazy.read, 4)
        yield f"lazy {name}, out", partial(lazy.read, [0, 1])
    for name, keyed in KEYED.items():
        yield f"keyed {name}, keys", partial(keyed.read, [0.5])
        yield f"keyed {name}, out", partial(keyed.read, [1, 2, 3])


CALLS = dict(sorted(refusals()))


@pytest.mark.parametrize("name", CALLS)
def test_an_error_lets_the_buffer_go(name):
    """`close()` in a finally raises BufferError while any array is left on the memory."""
    with pytest.raises((ValueError, TypeError, IndexError)), closing(mmap.mmap(-1, 160)) as memory:
        CALLS[name](out=memory)


def test_an_error_lets_shared_memory_go():
    block = shared_memory.SharedMemory(create=True, size=32)
    block.unlink()
    with pytest.raises(ValueError, match="seed must be"), closing(block):
        fastinit.random_bits(out=block.buf, dtype="uint32", seed=-1)


def test_a_fill_that_fails_lets_the_buffer_go(monkeypatch):
    def fails(*arguments):
        raise MemoryError

    lazy = LAZY["stack"]
    monkeypatch.setattr("fastinit.initializers._orthogonal._work_space", fails)
    for call in (partial(fastinit.orthogonal, (8, 5), dtype="float32"), partial(lazy.read, 0)):
        memory = mmap.mmap(-1, 160 if call.func is fastinit.orthogonal else 60)
        with pytest.raises(MemoryError), closing(memory):
            call(out=memory)


class Seeds:
    """A generator that counts what was drawn from it."""

    def __init__(self):
        self.drawn = 0

    def next(self):
        self.drawn += 1
        return self.drawn


SEEDED = [entry for entry in CATALOG if "seed" in signature(entry.function).parameters]


@pytest.mark.parametrize("entry", SEEDED, ids=lambda entry: entry.name)
def test_what_is_refused_draws_no_seed(entry):
    seeds = Seeds()
    shape = SHAPES.get(entry.name, (8, 5))
    huge = (2**40, *shape[1:-1], 2**40)
    for arguments in (
        {"shape": shape, "dtype": "S4"},
        {"shape": (-1, *shape)},
        {"shape": huge},
        {"shape": (1,) * 65},
        {"shape": shape, "out": np.zeros(3, "f4")},
        {"shape": shape, "out": np.zeros(shape, "f4")[::-1]},
    ):
        with pytest.raises((ValueError, TypeError, OverflowError, MemoryError)):
            entry.function(**arguments, seed=seeds)
        if "out" not in arguments:
            initializer = entry.cls(seed=seeds)
            arguments.setdefault("dtype", None)
            with pytest.raises((ValueError, TypeError, OverflowError, MemoryError)):
                initializer(**arguments)
            if entry.name != "orthogonal":
                with pytest.raises(
                    (ValueError, TypeError, OverflowError, MemoryError, NotImplementedError)
                ):
                    initializer.lazy(**arguments)
    assert seeds.drawn == 0
    out = np.zeros(shape, "f4")
    assert entry.function(seed=seeds, out=out) is out
    assert seeds.drawn == 1


def test_what_is_refused_reserves_no_disk_blocks(tmp_path):
    path = tmp_path / "sparse"
    with path.open("w+b") as file:
        file.truncate(1 << 20)
        memory = mmap.mmap(file.fileno(), 0)
    for arguments in ({"seed": -1}, {"stddev": -1}, {"seed": object()}):
        with pytest.raises((ValueError, TypeError)):
            fastinit.random_normal(out=memory, dtype="float32", **arguments)
    with pytest.raises(ValueError, match="gain must be finite"):
        fastinit.orthogonal((512, 512), float("inf"), 1, "float32", out=memory)
    assert path.stat().st_blocks == 0
    memory.close()


def test_a_traceback_still_names_what_refused():
    with pytest.raises(ValueError, match=re.escape("seed must be in 0 <= seed < 2**64")) as caught:
        fastinit.random_bits(4, -1)
    assert [entry.name for entry in caught.traceback][1] == "random_bits"


def refused_partials():
    """Yield (name, call) likewise, by calls that hold no `out` of their own."""
    for entry in CATALOG:
        shape = SHAPES.get(entry.name, (8, 5))
        for name in REFUSED.keys() & signature(entry.function).parameters.keys():
            arguments = {"dtype": "float32", name: REFUSED[name]}
            if name == "input_axes":
                arguments["output_axes"] = [0]
            function = getattr(fastinit, entry.name)
            yield f"{entry.name}, {name}", partial(function, shape, **arguments)
    yield "random_bits", partial(fastinit.random_bits, (8, 5), -1, "uint32")
    for name, lazy in LAZY.items():
        yield f"lazy {name}", partial(lazy.read, 4)
    for name, keyed in KEYED.items():
        yield f"keyed {name}", partial(keyed.read, [0.5])


PARTIALS = dict(sorted(refused_partials()))


@pytest.mark.parametrize("name", PARTIALS)
def test_an_error_lets_the_callers_only_view_go(name):
    """What the caller passes may be the only view: the frames that still run hold it, too."""
    call = PARTIALS[name]
    with pytest.raises((ValueError, TypeError, IndexError)), closing(mmap.mmap(-1, 200)) as memory:
        call(out=memoryview(memory)[:160])


def test_an_error_of_an_initializer_leaves_the_modules_alone():
    before = {name: set(vars(module)) for name, module in sys.modules.items() if "fastinit" in name}
    with pytest.raises(ValueError, match="stddev"):
        fastinit.random_normal(out=bytearray(16), dtype="float32", stddev=-1)
    assert {name: set(vars(sys.modules[name])) for name in before} == before
