"""Compare two builds: `python bench/turns.py OLD NEW [ROUNDS]`.

OLD and NEW are the Python interpreters that have the two builds, such as venv/bin/python.

For each kernel it prints the time of the new build as a share of the old one's.  Both fill arrays
of 4096 x 4096 that exist, on huge pages and one thread.  They take turns, and the least time of
each counts: what else the machine does only adds to a time.
"""

import subprocess
import sys

# A build says which ISAs it has, then answers each request, "<isa> <kernel> <dtype>", by a time.
WORKER = """
import sys, time
import numpy as np
import fastinit
from fastinit import _kernels

fastinit.set_num_threads(1)
arrays = {d: fastinit.random_uniform((4096, 4096), seed=1, dtype=d) for d in ("float32", "float64")}
print(*_kernels.isas(), flush=True)
for line in sys.stdin:
    isa, kernel, dtype = line.split()
    _kernels.use_isa(isa)
    start = time.perf_counter()
    getattr(_kernels, kernel)(arrays[dtype], 0, 1, 0.0, 1.0, 1)
    print(time.perf_counter() - start, flush=True)
"""
FILLS = [(name, d) for d in ("float32", "float64") for name in ("uniform", "normal", "truncated")]


def start(python):
    return subprocess.Popen(
        [python, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ask(worker, request):
    worker.stdin.write(request + "\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def main(old, new, rounds=15):
    workers = [start(old), start(new)]
    isas = [worker.stdout.readline().split() for worker in workers]
    for isa in reversed(isas[1]):
        if isa not in isas[0]:
            continue
        for name, dtype in FILLS:
            times = [[], []]
            for _ in range(int(rounds)):
                for worker, found in zip(workers, times, strict=True):
                    found.append(ask(worker, f"{isa} {name} {dtype}"))
            before, after = map(min, times)
            share = f"{after / before:.3f}  ({before * 1e3:.2f} -> {after * 1e3:.2f} ms)"
            print(f"{isa:8} {name:9} {dtype:7}  {share}")
    for worker in workers:
        worker.stdin.close()
        worker.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
