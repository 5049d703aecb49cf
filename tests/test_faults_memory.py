"""Memory that is refused, that ends at a guard page, or whose file is cut beneath it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults import needs_preloading, run_with_faults
from fills import FILLS
from processes import run_python

import fastinit
from fastinit import _kernels, initializers

# Every kind of public call.  Each takes `out`, an array or None, and returns what it makes.
REFUSED = """
import copy, json, pickle, warnings
import ml_dtypes
import numpy as np
import fastinit
from fastinit import initializers
fastinit.set_num_threads(1)
ROWS, COLUMNS = 40, 30
SHAPE = ROWS, COLUMNS
lazy = initializers.TruncatedNormal(seed=1).lazy(SHAPE)
stack = initializers.Orthogonal(seed=1, batch_axis=(0,)).lazy((3, 6, 5))
keyed = initializers.RandomNormal(seed=1).keyed(COLUMNS)
half = np.empty(99, "bfloat16")
ids = np.arange(0, 3 * ROWS, 3) % ROWS
seeds = fastinit.SeedGenerator(1)
init = initializers.HeNormal(seed=fastinit.SeedGenerator(3))
config = initializers.serialize(init)

def fresh(call):  # one that does not take `out`
    return lambda out: call() if out is None else None

CALLS = {
    "random_normal": lambda out: fastinit.random_normal(SHAPE, seed=1, out=out),
    "random_uniform": lambda out: fastinit.random_uniform(SHAPE, seed=1, out=out),
    "truncated_normal": lambda out: fastinit.truncated_normal(SHAPE, seed=1, out=out),
    "bounds": lambda out: fastinit.truncated_normal(SHAPE, seed=1, lower=-1.0, upper=3.0, out=out),
    "variance_scaling": lambda out: fastinit.variance_scaling(SHAPE, seed=1, out=out),
    "orthogonal": lambda out: fastinit.orthogonal(SHAPE, seed=1, out=out),
    "identity": lambda out: fastinit.identity(SHAPE, out=out),
    "constant": lambda out: fastinit.constant(SHAPE, 0.5, out=out),
    "zeros": lambda out: fastinit.zeros(SHAPE, out=out),
    "large": fresh(lambda: fastinit.random_normal(3 << 20, seed=1)[::4096]),
    "bfloat16": fresh(lambda: fastinit.random_normal(SHAPE, seed=1, dtype="bfloat16")),
    "bfloat16 again": fresh(lambda: fastinit.random_normal(out=half, seed=1)),
    "random_bits": fresh(lambda: fastinit.random_bits(SHAPE, seed=1)),
    "delta_orthogonal": fresh(lambda: fastinit.delta_orthogonal((3, 3, 8, 9), seed=1)),
    "rows": lambda out: lazy[ids] if out is None else lazy.read(ids, out),
    "columns": lambda out: lazy[:, ::-1] if out is None else lazy.read(np.s_[:, ::-1], out),
    "keys": lambda out: keyed[ids] if out is None else keyed.read(ids, out),
    "stack": fresh(lambda: stack[1:]),
    "lazy": fresh(lambda: initializers.GlorotUniform(seed=2).lazy(SHAPE)[3]),
    "keyed": fresh(lambda: initializers.RandomUniform(seed=2).keyed(8)[[5, 2**63]]),
    "initializer": fresh(lambda: initializers.TruncatedNormal(seed=5)(SHAPE)),
    "get": fresh(lambda: initializers.get("he_normal").clone().get_config()["seed"] is None),
    "configuration": fresh(lambda: initializers.deserialize(config)(SHAPE)),
    "pickle": fresh(lambda: pickle.loads(pickle.dumps(lazy))[5]),
    "derive_seed": fresh(lambda: fastinit.derive_seed(1, "a/b")),
    "seeds": fresh(lambda: copy.deepcopy(seeds).next()),
    "show_config": fresh(lambda: sorted(fastinit.show_config("dicts"))),
}

def bits(value):
    return np.asarray(value).tobytes()

# What others make of a refusal: locks of Python, its pickles, and some functions of NumPy.
OTHERS = {
    RuntimeError: "can't allocate lock",
    pickle.PicklingError: "Can't pickle ",
    SystemError: "",
}

def refused_at_each(call, out, count):
    # Refuse the allocations n to n + count - 1, for each n, and return how many times it showed.
    expected, shown, n = bits(call(out)), 0, 0
    while True:
        n += 1
        if out is not None:
            out[...] = -7
        before = None if out is None else bits(out)
        result = None
        try:
            arm(MEMORY, REFUSE, n, count, errno.ENOMEM)
            result = call(out)
        except MemoryError:
            shown += 1
        except tuple(OTHERS) as error:
            assert str(error).startswith(OTHERS[type(error)]), (n, error)
        seen = disarm()
        if result is not None:
            assert bits(result) == expected, n
        elif out is not None and call is not CALLS["identity"]:  # it may hold zeros
            assert bits(out) == before, n
        assert bits(call(out)) == expected, n  # the next call is as ever
        if seen < n:
            return shown

wanted = sys.argv[1:]
report = {}
gc.disable()
for name in wanted:
    for out in (None, np.zeros(SHAPE, "float32")):
        if CALLS[name](out) is None:
            continue
        for _ in range(3):  # caches are filled
            CALLS[name](out)
        key = name if out is None else f"{name} into out"
        report[key] = [refused_at_each(CALLS[name], out, count) for count in (1, 3)]
print(json.dumps(report))
"""

KINDS = [
    ["random_normal", "random_uniform", "truncated_normal", "bounds", "variance_scaling"],
    ["orthogonal", "zeros", "delta_orthogonal", "rows", "columns", "keys", "stack", "lazy"],
    ["large", "bfloat16", "bfloat16 again", "random_bits", "keyed"],
    ["initializer", "get", "configuration", "pickle", "derive_seed", "seeds", "show_config"],
    # numpy.errstate() crashes where a small object of Python is refused.
    ["identity", "constant"],
]


@needs_preloading
@pytest.mark.parametrize("names", KINDS, ids=lambda names: names[0])
def test_memory_refused_at_each_allocation_in_turn(names):
    """The user gets MemoryError, `out` is as it was, and the next call gives the same values.

    PYTHONMALLOC=malloc lets every object of Python be an allocation of its own.  Python 3.13 itself
    crashes where no function object can be made, so there only arrays and the like are refused.
    """
    each = sys.version_info < (3, 12) and "constant" not in names
    allocator = "malloc" if each else "pymalloc"
    shown = json.loads(run_with_faults(REFUSED, *names, PYTHONMALLOC=allocator))
    assert {name.removesuffix(" into out") for name in shown} == set(names)
    for name, counts in shown.items():
        assert min(counts) > 0 or not each, name


# Guard pages

GUARDED = """
import ctypes, itertools, mmap, sys
import numpy as np
import fills
from fastinit import _kernels
PAGE, PROT_NONE = mmap.PAGESIZE, 0
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

def guarded():  # a page between two that end the process
    memory = mmap.mmap(-1, 3 * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    for page in (0, 2):
        assert not libc.mprotect(whole.ctypes.data + page * PAGE, PAGE, PROT_NONE)
    return whole[PAGE : 2 * PAGE]

PATTERN, MOST = 0xA5, 300
page, source = guarded(), guarded()
_kernels.use_isa(sys.argv[1])

def kernel(distribution, buffer, start, keyed=False):
    parameters = fills.PARAMETERS[distribution]
    if distribution == "between":
        mean, stddev, *bounds = parameters
        fills.window(*bounds).fill(buffer, start, 1, mean, stddev, 2, keyed)
    else:
        getattr(_kernels, distribution)(buffer, start, 1, *parameters, 2, keyed)

def views(nbytes):  # at the end of the page, and at its beginning
    return [(page[PAGE - nbytes :], page[: PAGE - nbytes]), (page[:nbytes], page[nbytes:])]

def check(view, rest, dtype, expected, what, fill):
    page.fill(PATTERN)
    fill(view.view("uint16" if dtype == "bfloat16" else dtype))
    assert view.tobytes() == expected.tobytes(), what
    assert (rest == PATTERN).all(), what

count = 0
for distribution, dtype in fills.FILLS:
    size = np.dtype(dtype).itemsize
    whole = fills.fill(distribution, dtype, 5, MOST)
    for n in range(MOST + 1):
        for view, rest in views(n * size):
            check(view, rest, dtype, whole[:n], (distribution, dtype, n),
                  lambda out: n and kernel(distribution, out, 5))
            count += 1
    # Rows by their starts and by keys, which stand at the end of a page themselves.
    for length, rows in itertools.product((1, 3, 4, 7, 17, 64), (1, 2, 5, 9)):
        if length * rows > MOST:
            continue
        keys = np.arange(rows, dtype="uint64") * 11 + 5
        for place in (source[-keys.nbytes :], source[: keys.nbytes]):
            starts = place.view("uint64")
            starts[...] = keys
            for keyed in (False, True):
                expected = np.concatenate([
                    fills.fill(distribution, dtype, starts[i : i + 1], length, keyed=True) if keyed
                    else fills.fill(distribution, dtype, int(starts[i]), length)
                    for i in range(rows)
                ])
                for view, rest in views(length * rows * size):
                    check(view, rest, dtype, expected, (distribution, dtype, length, rows, keyed),
                          lambda out: kernel(distribution, out, starts, keyed))
                    count += 1
import fastinit
for dtype in ("float32", "float64"):
    for rows, columns in itertools.product(range(1, 17), repeat=2):
        expected = fastinit.orthogonal((rows, columns), seed=1, dtype=dtype)
        for view, rest in views(expected.nbytes):
            check(view, rest, dtype, expected, (rows, columns),
                  lambda out: fastinit.orthogonal(out=out.reshape(rows, columns), seed=1))
            count += 1
print(count)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect() is called as on Linux")
@pytest.mark.parametrize("name", _kernels.isas())
def test_guard_pages_at_both_ends(name):
    """No fill reads or writes a byte beyond its own, or the system would end the process."""
    folder = str(Path(__file__).parent)
    path = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    count = int(run_python(GUARDED, name, PYTHONPATH=path))
    assert count > len(FILLS) * 2 * 301


# Files that are cut beneath their map

CUT = """
import faulthandler, os, sys
import numpy as np
import fastinit
faulthandler.disable()
path, when = sys.argv[1:]
PAGE = os.sysconf("SC_PAGESIZE")
array = np.memmap(path, "float32", "w+", shape=(16, PAGE // 4))
if when == "after a fill":
    fastinit.random_normal(out=array, seed=1)
os.truncate(path, PAGE)
fastinit.random_normal(out=array, seed=2)
print(os.path.getsize(path) // PAGE, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="SIGBUS as on Linux")
@pytest.mark.parametrize("when", ["before any", "after a fill"])
def test_a_file_truncated_beneath_the_map(when, tmp_path):
    """A small fill asks the system for the blocks once: the first makes the file whole again.

    After that the system ends the process by SIGBUS, as it does for any other write to such an
    array.
    """
    path = tmp_path / "a"
    command = [sys.executable, "-c", CUT, path, when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    page = os.sysconf("SC_PAGESIZE")
    expected = fastinit.random_normal((16, page // 4), seed=2).tobytes()
    if when == "before any":
        assert (done.returncode, done.stdout, done.stderr) == (0, "16\n", "")
        assert path.read_bytes() == expected
    else:
        assert (done.returncode, done.stdout) == (-signal.SIGBUS, "")
        assert path.stat().st_size == page


# Arrays of objects


@pytest.mark.parametrize("dtype", ["O", "V8", "M8[s]", "S8"])
def test_no_kernel_writes_over_objects(dtype):
    """A dtype that is not one of numbers is refused, in a pickle too: it could hold pointers."""
    lazy = initializers.TruncatedNormal(seed=1).lazy((3, 4), "float64")
    keyed = initializers.TruncatedNormal(seed=1).keyed(4, "float64")
    for thing, first in ((lazy, lazy.shape), (keyed, keyed.dim)):
        with pytest.raises(TypeError, match="dtype must be float32"):
            type(thing)(first, np.dtype(dtype), thing.source)
        state = {**thing.__getstate__(), "dtype": np.dtype(dtype)}
        with pytest.raises(TypeError, match="dtype must be float32"):
            object.__new__(type(thing)).__setstate__(state)


def test_zeros_where_the_first_attempt_to_get_memory_fails(monkeypatch):
    """They are zeros, though memory that comes at the second attempt is as others left it."""

    def refuse(*arguments):
        raise MemoryError

    def used(shape, dtype):
        return np.full(shape, 7, dtype)

    monkeypatch.setattr(np, "zeros", refuse)
    monkeypatch.setattr("fastinit.initializers._constant.empty", used)
    assert not fastinit.zeros((3, 4)).any()
    assert (fastinit.identity((3, 3)) == np.eye(3)).all()


@pytest.mark.parametrize("dtypes", [("int8", "float64"), ("float32", "float64"), ("f2", "f2")])
def test_no_matrix_is_written_beyond_its_memory(dtypes):
    """The kernel of matrices knows elements of 4 and 8 bytes, and work space of the same."""
    out, work = np.full((2, 4, 4), 7, dtypes[0]), np.zeros(1 << 16, dtypes[1])
    with pytest.raises(TypeError, match="no kernel for elements of this size"):
        _kernels.orthogonal(out, work, 0, 4, 4, 1, 1.0, 1)
    assert (out == 7).all()
