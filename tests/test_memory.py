"""The memory of fresh arrays."""

import ctypes
import mmap
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from fills import assert_same_bits
from processes import run_python

import fastinit
from fastinit import _memory

HUGE_PAGE = 2 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, which is Linux's")


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="the system has no huge pages")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("extra", [0, 1, 1000])
def test_large_arrays_begin_on_a_huge_page(dtype, extra):
    n = 2 * HUGE_PAGE // np.dtype(dtype).itemsize + extra
    x = fastinit.random_uniform(n, seed=1, dtype=dtype)
    assert x.ctypes.data % HUGE_PAGE == 0
    x[-1] = 1  # writeable to the end
    assert x.flags.writeable


needs_huge_pages = pytest.mark.skipif(
    not _memory.HAS_HUGE_PAGES, reason="NumPy alone allocates where the system has no huge pages"
)


@needs_huge_pages
def test_numpy_owns_large_arrays():
    x = fastinit.random_uniform(_memory.LARGE // 4 + 1000, seed=1)
    expected = x.copy()
    assert x.flags.owndata
    assert x.base is None
    for n in (3 * x.size, x.size + 1, x.size // 3, 5, 2 * x.size):
        x.resize(n, refcheck=False)
        kept = min(n, expected.size)
        assert_same_bits(x[:kept], expected[:kept])
        assert not x[kept:].any()
        expected = x.copy()


@needs_huge_pages
def test_tracemalloc_counts_large_arrays():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        x = fastinit.random_uniform(2 * _memory.LARGE, seed=1, dtype="float32")
        during = tracemalloc.get_traced_memory()[0]
        nbytes = x.nbytes
        del x
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert nbytes <= during - before < nbytes + 100_000
    assert after - before < 100_000


@needs_huge_pages
def test_numpy_allocates_all_other_arrays():
    def name(array):
        return np._core.multiarray.get_handler_name(array)

    x = fastinit.random_uniform(_memory.LARGE // 4, seed=1)
    assert name(x) == "fastinit_huge_pages"
    for other in (x.copy(), np.empty_like(x), fastinit.random_uniform(1000, seed=1)):
        assert name(other) == "default_allocator"


# Memory of others


@pytest.fixture
def advised(monkeypatch):
    """Return a list of what is advised from now on: address and number of bytes."""
    advised = []

    def madvise(first, nbytes, advice):
        assert advice == mmap.MADV_HUGEPAGE
        advised.append((first, nbytes))
        return -1  # as a kernel without huge pages

    monkeypatch.setattr(_memory, "_madvise", lambda: madvise)
    return advised


needs_advice = pytest.mark.skipif(
    not hasattr(mmap, "MADV_HUGEPAGE"), reason="the system has no huge pages"
)


@needs_advice
@pytest.mark.parametrize("before", [0, 4, 4096, HUGE_PAGE - 4])
@pytest.mark.parametrize("after", [0, 4, 4096, HUGE_PAGE - 4])
def test_the_whole_huge_pages_of_a_large_out_are_advised(advised, before, after):
    memory = bytearray(6 * HUGE_PAGE)
    start = -np.frombuffer(memory, "u1").ctypes.data % HUGE_PAGE + before
    end = start - before + 4 * HUGE_PAGE + after
    out = memoryview(memory)[start:end]
    fastinit.random_uniform(seed=1, out=out, dtype="float32")
    ((first, nbytes),) = advised
    assert first % HUGE_PAGE == 0
    assert nbytes == (4 if before == 0 else 3) * HUGE_PAGE
    address = np.frombuffer(out, "u1").ctypes.data
    assert address <= first < first + nbytes <= address + end - start
    n = (end - start) // 4
    assert_same_bits(np.frombuffer(out, "float32"), fastinit.random_uniform(n, seed=1))


@needs_advice
def test_what_is_not_advised(advised, tmp_path):
    n = 2 * HUGE_PAGE // 4
    own = fastinit.random_uniform((2, n), seed=1)
    outs = {
        "small": np.frombuffer(bytearray(4 * n - 4), "float32"),
        "NumPy's, which asks itself": np.zeros(n, "float32"),
        "a view of it": np.asarray(memoryview(np.zeros((2, n), "float32")[1])),
        "ours": own[1],
        "a file": np.memmap(tmp_path / "file", "float32", "w+", shape=n),
        "an mmap object, which can ask": np.frombuffer(mmap.mmap(-1, 4 * n), "float32"),
    }
    for name, out in outs.items():
        fastinit.random_uniform(seed=1, out=out)
        assert not advised, name


@needs_advice
def test_parts_of_lazy_arrays_are_advised_as_other_arrays(advised):
    lazy = fastinit.initializers.RandomNormal(seed=1).lazy((1 << 12, 1 << 10))
    out = np.frombuffer(bytearray(4 << 22), "float32").reshape(lazy.shape)
    for i in range(5):
        lazy.read(i, out=out[i])
    lazy.read(slice(0, 1023), out=out[:1023])
    assert not advised
    lazy.read(slice(0, 1025), out=out[:1025])
    assert len(advised) == 1


@needs_advice
@pytest.mark.parametrize("wrong", [{"seed": -1}, {"stddev": -1}, {"shape": 3}])
def test_nothing_is_advised_before_all_arguments_are_found_good(advised, wrong):
    out = np.frombuffer(bytearray(2 * HUGE_PAGE), "float32")
    with pytest.raises(ValueError, match=r"received -1|was asked for"):
        fastinit.random_normal(**{"out": out, "seed": 1, **wrong})
    assert not advised


@pytest.mark.parametrize("reason", ["no constant", "no function"])
def test_a_system_that_cannot_be_asked(monkeypatch, reason):
    if reason == "no constant":
        monkeypatch.setattr(_memory, "HAS_HUGE_PAGES", False)
    else:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    _memory._madvise.cache_clear()
    try:
        assert _memory._madvise() is None
        out = np.frombuffer(bytearray(2 * HUGE_PAGE), "float32")
        fastinit.random_uniform(seed=1, out=out)
    finally:
        _memory._madvise.cache_clear()
    assert_same_bits(out, fastinit.random_uniform(out.size, seed=1))


HUGE = """
import ctypes, numpy as np, fastinit
malloc = ctypes.CDLL(None).malloc
malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
n = 64 << 20
address = malloc(n)
out = (ctypes.c_ubyte * n).from_address(address)
def huge(address):
    for line in open("/proc/self/smaps"):
        name, value = line.split()[:2]
        if "-" in name and ":" not in name:
            first, end = (int(part, 16) for part in name.split("-"))
            inside = first <= address < end
        elif name == "AnonHugePages:" and inside:
            return int(value) >> 10
middle = address + n // 2
before = huge(middle)
fastinit.random_uniform(seed=1, out=out, dtype="float32")
assert (np.frombuffer(out, "float32") == fastinit.random_uniform(n // 4, seed=1)).all()
print(before, huge(middle))
"""


@linux
def test_fresh_memory_of_others_is_made_of_huge_pages():
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[never]" in setting.read_text():
        pytest.skip("the kernel makes no huge pages")
    before, after = map(int, run_python(HUGE).split())
    assert before == 0
    assert after >= 32


# Freeing


FREED = """
import numpy as np, fastinit
def kib(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return int(line.split()[1])
fastinit.random_normal(10**6, seed=1)
size, resident = kib("VmSize"), kib("VmRSS")
x = fastinit.random_normal((100, 2**17), seed=1)
view = x[3]
assert kib("VmSize") > size + 49 * 1024 and kib("VmRSS") > resident + 49 * 1024
del x
assert kib("VmRSS") > resident + 49 * 1024  # a view keeps all
view[:] = 1
del view
print(kib("VmSize") - size, kib("VmRSS") - resident)
for i in range(50):
    fastinit.random_normal((100, 2**17), seed=i)
print(kib("VmSize") - size, kib("VmRSS") - resident)
"""


@linux
def test_memory_is_freed_with_the_array():
    lines = run_python(FREED).splitlines()
    for line in lines:
        for grown in line.split():
            assert int(grown) < 1024


PEAK = """
import sys, numpy as np, fastinit
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1])
n, dtype, sampler = int(sys.argv[1]), sys.argv[2], getattr(fastinit, sys.argv[3])
fastinit.set_num_threads(n)
sampler(10, seed=1, dtype=dtype)
before = peak()
x = sampler((1000, 12345), seed=1, dtype=dtype)
print(peak() - before - x.nbytes // 1024)
"""


@linux
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sampler", ["random_uniform", "random_normal", "truncated_normal"])
@pytest.mark.parametrize("threads", [1, 3])
def test_peak_is_the_result_and_a_mebibyte_a_thread(sampler, dtype, threads):
    assert int(run_python(PEAK, threads, dtype, sampler)) < 1024 * threads


@pytest.mark.parametrize("function", [fastinit.zeros, fastinit.ones, fastinit.random_normal])
@pytest.mark.parametrize("shape", [(0, 1 << 63), (1 << 63, 0)])
def test_a_dimension_that_numpy_cannot_index_is_named(function, shape):
    with pytest.raises(ValueError, match="shape must have dimensions that NumPy can index"):
        function(shape)
