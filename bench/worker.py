"""Run one library in a process of its own, and send it the cases to time.

Each library has a process, so that thread pools, allocators and settings of one cannot disturb
another.  A process sees as many processors as it has threads.  Calls take turns, so only one
process is ever busy.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

PATIENCE = 300  # seconds; the longest answers, with imports and compilation, take some 30
SETTINGS = (
    "OMP",
    "GOMP",
    "KMP",
    "OPENBLAS",
    "MKL",
    "NUMPY",
    "FASTINIT",
    "TF",
    "XLA",
    "JAX",
    "KERAS",
)


class Failed(Exception):
    """A worker gave no answer, or answered that it failed; it has been closed."""


class Worker:
    """The parent's side of a worker."""

    def __init__(self, library, threads, environment):
        settings = {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": 3,
            "TF_ENABLE_ONEDNN_OPTS": 1,
            "JAX_PLATFORMS": "cpu",
            **environment,
        }
        inherited = {k: v for k, v in os.environ.items() if k.split("_")[0] not in SETTINGS}
        self.process = subprocess.Popen(
            [sys.executable, __file__, library.__name__, str(threads)],
            env={**inherited, **{k: str(v) for k, v in settings.items()}},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, **request):
        with suppress(BrokenPipeError):  # it has ended; the next lines find out how
            if request:
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.close(patience=0)
            raise Failed(f"no answer in {PATIENCE} seconds")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the process ended with status {self.close()}")
        answer = json.loads(line)
        if "failed" in answer:
            self.close()
            raise Failed(answer["failed"])
        return answer

    def close(self, patience=20):
        """End the process, by force if need be, and return its status."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        return self.process.returncode


class Workers(dict):
    """The workers that run, by name.

    A worker that fails is left out from then on, and `missing` says why.  `described` holds the
    version of each library that is installed.
    """

    def __init__(self):
        self.described, self.missing = {}, {}

    def start(self, runners):
        for name, (library, threads, environment) in runners.items():
            if library.distribution in self.missing:
                continue
            self[name] = Worker(library, threads, environment)
            answer = self.ask(name, "from the start")
            if answer and "version" in answer:
                self.described[library.distribution] = answer["version"]
            elif answer:
                self.missing[library.distribution] = answer["missing"]
                self.pop(name).close()

    def ask(self, name, when, **request):
        """Return the answer of one worker, or None."""
        try:
            return self[name].ask(**request)
        except Failed as error:
            del self[name]
            self.missing[name] = f"{when}: {error}"
            return None

    def close(self):
        for worker in self.values():
            worker.close()


def processors(count):
    """Return that many of the allowed processors, on different cores as far as possible."""

    def core(processor):
        siblings = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        return siblings.read_text() if siblings.exists() else processor

    allowed = sorted(os.sched_getaffinity(0))
    firsts = {core(p): p for p in reversed(allowed)}.values()
    return sorted(allowed, key=lambda p: p not in firsts)[:count]


def serve(library, threads, requests, answer):
    """Answer requests: `cases` are prepared and checked, {key: case}; `run` is the key to time."""
    try:
        import libraries

        library = getattr(libraries, library)(threads)
        answer({"version": library.describe()})
    except Exception as error:  # the report prints the reason
        return answer({"missing": f"{type(error).__name__}: {error}"})

    from fastinit._bench import seconds

    calls = {}
    for line in requests:
        request = json.loads(line)
        try:
            if "run" in request:
                answer({"seconds": seconds(calls[request["run"]], request["at_least"])})
            else:
                calls = {}  # frees the arrays of the last request
                calls = prepare(library, request["cases"])
                answer({"ready": list(calls)})
        except Exception as error:
            return answer({"failed": f"{type(error).__name__}: {error}"})
    return None


def prepare(library, cases):
    """Return {key: a call that was checked} for the cases that the library can do.

    Cases of the same shape and type fill the same array, which exists as long as the calls.
    """
    import ml_dtypes  # noqa: F401, for NumPy to know bfloat16 by its name
    import numpy as np

    def mapped(shape, dtype):
        with tempfile.TemporaryFile(dir="/dev/shm") as file:
            return np.memmap(file, dtype, "w+", shape=shape)

    make = {"out": np.empty, "memmap": mapped}
    calls, arrays = {}, {}
    for key, (name, dtype, shape, memory) in cases.items():
        shape = tuple(shape)
        out = None
        # A library that has no out= is compared by its new arrays.
        if memory in library.memory and memory in make:
            if (shape, dtype, memory) not in arrays:
                arrays[shape, dtype, memory] = make[memory](shape, dtype)
                arrays[shape, dtype, memory].fill(1)  # touched: warm
            out = arrays[shape, dtype, memory]
        elif memory not in library.memory and "fresh" not in library.memory:
            continue
        call = library.call(name, shape, dtype, out)
        if call is not None:
            result = call()
            verify(library, name, result if out is None else out)
            calls[key] = call
    return calls


def verify(library, name, result):
    import numpy as np

    from fastinit._bench import EXPECTED, check

    if name in ("rows", "create"):
        name = "truncated"
    if name.startswith("between "):
        lower, upper = map(float, name.split()[1:])
        assert lower <= result.min() < result.max() <= upper
    if name in EXPECTED and result is not None:
        check(name, library.array(result).reshape(-1)[: 1 << 24])
    elif name == "orthogonal" and type(library).__name__ != "Limit":
        q = library.array(result)
        q = q if q.shape[0] >= q.shape[1] else q.T
        error = np.abs(q[:, :9].T @ q - np.eye(9, q.shape[1])).max()
        if not error < 1e-4:
            raise ValueError(f"orthogonal: off by {error}")


if __name__ == "__main__":
    _, library, threads = sys.argv
    # This comes first, since importing a library makes its thread pool; NumPy's OpenBLAS has one.
    os.sched_setaffinity(0, processors(int(threads)))
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not reach the parent

    def answer(message):
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    serve(library, int(threads), sys.stdin, answer)
