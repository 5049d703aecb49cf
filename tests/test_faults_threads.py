"""Threads that cannot be had, forks in the middle of a fill, and fills inside others' threads."""

import os
import subprocess
import sys

import pytest
from faults import compiled, needs_preloading, run_with_faults
from processes import run_python

from fastinit import _kernels

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the threads")

# Forks in the middle of a fill

# A fill takes 10 ms and more, and the fork comes within 4 ms of its beginning.
FORKED = """
import os, sys, threading, time, warnings, zlib
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tested
import numpy as np
import fastinit
kind, threads = sys.argv[1], int(sys.argv[2])
fastinit.set_num_threads(threads)
out = np.zeros((1200, 1200) if kind == "orthogonal" else 3 << 22, "float32")
fills = {
    "normal": lambda out: fastinit.random_normal(out=out, seed=1),
    "orthogonal": lambda out: fastinit.orthogonal(out=out, seed=1),
}
fills[kind](out)
expected = zlib.crc32(out)
small = zlib.crc32(fastinit.random_normal(10**6, seed=2))
failed, forks = [], 0

def work():
    while not stop:
        out[...] = 0
        begun.set()
        fills[kind](out)
        if zlib.crc32(out) != expected:
            failed.append("the parent's own")

def child():
    # Nothing waits for the threads that the parent has: a hang ends the child.
    import signal
    signal.alarm(30)
    if zlib.crc32(fastinit.random_normal(10**6, seed=2)) != small:
        os._exit(1)
    if zlib.crc32(fills[kind](np.empty_like(out))) != expected:
        os._exit(2)
    os._exit(0)

stop, begun = [], threading.Event()
worker = threading.Thread(target=work)
worker.start()
begun.wait()
for attempt in range(4):
    begun.clear()
    begun.wait()
    time.sleep(0.001 * attempt)
    number = os.fork()
    if not number:
        child()
    failed.append(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
stop.append(True)
worker.join()
assert zlib.crc32(fastinit.random_normal(10**6, seed=2)) == small
print(failed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["normal", "orthogonal"])
def test_a_fork_in_the_middle_of_a_fill(kind, threads):
    """The child fills with the same values on one thread, and the parent's fill goes on."""
    assert run_python(FORKED, kind, threads, timeout=150) == "[0, 0, 0, 0]"


# Threads that are refused

THREADS_REFUSED = """
import zlib
import numpy as np
import fastinit
out = np.empty(1 << 20, "float32")

def digest():
    matrices = fastinit.orthogonal((300, 250), seed=1)
    return zlib.crc32(fastinit.random_normal(out=out, seed=1)), zlib.crc32(matrices)

def running():
    return len(os.listdir("/proc/self/task"))

fastinit.set_num_threads(1)
expected, before = digest(), running()
fastinit.set_num_threads(4)
first, count = int(sys.argv[1]), int(sys.argv[2])
arm(THREADS, REFUSE, first, count, errno.EAGAIN)
assert zlib.crc32(fastinit.random_normal(out=out, seed=1)) == expected[0]
got = running() - before
assert digest() == expected
disarm()
assert digest() == expected  # the system gives them again
print(got, running() - before)
"""


@linux
@needs_preloading
@pytest.mark.skipif(not _kernels.openmp(), reason="built without OpenMP")
@pytest.mark.parametrize(("first", "count"), [(1, 1), (2, 1), (3, 1), (1, 10**6)])
def test_threads_refused(first, count):
    """The fill takes the threads that it gets, where OpenMP alone would end the process."""
    assert run_with_faults(THREADS_REFUSED, first, count) == f"{first - 1} 3"


@linux
@needs_preloading
@pytest.mark.skipif(not _kernels.openmp(), reason="built without OpenMP")
@pytest.mark.parametrize("first", [4, 5, 6])
def test_threads_refused_between_the_trial_and_the_team(first):
    """The three threads that were tried have ended, and OpenMP does not get as many again.

    If another process takes the last threads in this moment, OpenMP ends the process and says why.
    """
    with pytest.raises(AssertionError, match=r"(?i)thread"):
        run_with_faults(THREADS_REFUSED, first, 1)


# Fills inside threads of others

NESTED = """
import ctypes, sys, zlib
import numpy as np
import fastinit
fastinit.set_num_threads(4)
COUNT = 8
expected = [zlib.crc32(fastinit.random_normal(1 << 19, seed=i)) for i in range(COUNT)]
found = [None] * COUNT
nested = ctypes.CDLL(sys.argv[1])

@ctypes.CFUNCTYPE(None, ctypes.c_int)
def fill(i):
    found[i] = zlib.crc32(fastinit.random_normal(1 << 19, seed=i))

for threads in (1, 3, 2):
    found[:] = [None] * COUNT
    assert nested.nested_calls(fill, COUNT, threads) == threads
    assert found == expected, threads
print("equal")
"""


@linux
@pytest.mark.skipif(not _kernels.openmp(), reason="built without OpenMP")
@pytest.mark.parametrize("levels", ["1", "2"])
def test_fills_inside_an_openmp_team(levels):
    """Each thread fills, on one thread or on a team of its own: the values are equal."""
    library = compiled("nested.c", "-shared", "-fPIC", "-fopenmp")
    assert run_python(NESTED, library, OMP_MAX_ACTIVE_LEVELS=levels) == "equal"


POOLS = """
import sys, zlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
import numpy as np
import fastinit
from fastinit import initializers

def digest(i):
    lazy = initializers.TruncatedNormal(seed=i).lazy((1 << 13, 64))
    rows = lazy[np.arange(0, 1 << 13, 3)]
    matrix = fastinit.orthogonal((200, 150), seed=i)
    uniform = fastinit.random_uniform(1 << 19, seed=i)
    return zlib.crc32(rows), zlib.crc32(uniform), zlib.crc32(matrix)

if __name__ == "__main__":
    fastinit.set_num_threads(2)
    expected = [digest(i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(digest, range(8))) == expected
        assert list(pool.map(digest, range(8))) == expected
    for method in sys.argv[1:]:
        with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
            assert list(pool.map(digest, range(4))) == expected[:4]
    print("equal")
"""


@pytest.mark.skipif(os.name != "posix", reason="pools of processes as on POSIX")
def test_fills_inside_pools_of_threads_and_processes(tmp_path):
    """A pool of any kind makes the values of the main thread; no worker hangs after a fork."""
    script = tmp_path / "pools.py"
    script.write_text(POOLS)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", script, "fork", "spawn"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr
