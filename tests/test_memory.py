"""The memory of fresh arrays."""

import mmap
import sys

import numpy as np
import pytest
from processes import run_python

import fastinit

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
assert kib("VmSize") > size + 50 * 1024 and kib("VmRSS") > resident + 50 * 1024
del x
assert kib("VmRSS") > resident + 50 * 1024  # a view keeps all
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
