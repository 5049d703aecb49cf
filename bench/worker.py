"""One library in a process of its own, told case by case and round by round what to time.

A process each: thread pools, allocators and settings of one cannot disturb another, and as many
processors as threads is all that it sees.  Calls take turns, so only one is ever busy.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


class Worker:
    """The parent's side."""

    def __init__(self, name, threads, environment):
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
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self.process = subprocess.Popen(
            [sys.executable, __file__, name],
            env={**inherited, **{k: str(v) for k, v in settings.items()}},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.described = self.ask()

    def ask(self, **request):
        if request:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def serve(name, answer):
    from libraries import runners

    library, threads, _ = runners()[name]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        library = library(threads)
        answer({"version": library.describe()})
    except Exception as error:  # the reason is printed where the library is left out
        return answer({"missing": f"{type(error).__name__}: {error}"})

    import numpy as np

    from fastinit._bench import EXPECTED, check, seconds

    call = out = None
    for line in sys.stdin:
        request = json.loads(line)
        if "rounds" not in request:
            answer({"seconds": seconds(call)})
            continue
        shape, dtype = tuple(request["shape"]), request["dtype"]
        memory = request["memory"]
        call = out = None  # frees what was
        # Without an out=, the library's only way is compared: a new array.
        out = np.ones(shape, dtype) if memory == "out" and "out" in library.memory else None
        if out is not None or "fresh" in library.memory:
            call = library.call(request["name"], shape, dtype, out)
        if call is None:
            answer({"skipped": True})
            continue
        try:
            result = call() if out is None else (call(), out)[1]
            if request["name"] in EXPECTED:
                check(request["name"], library.array(result).reshape(-1)[: 1 << 24])
            elif request["name"] == "orthogonal" and not name.startswith("limit"):
                q = library.array(result)
                q = q if q.shape[0] >= q.shape[1] else q.T
                assert np.abs(q[:, :9].T @ q - np.eye(9, q.shape[1])).max() < 1e-4, "not orthogonal"
            del result
            answer({"skipped": False})
        except Exception as error:
            answer({"failed": f"{type(error).__name__}: {error}"})
    return None


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is none of the parent's business

    def answer(message):
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    serve(sys.argv[1], answer)
