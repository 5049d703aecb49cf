"""Orthogonal matrices here and elsewhere: times in turn, so that both meet the same machine.

    python bench/orthogonal_peers.py [python of an environment with torch] [threads] [shape ...]

The peers run in the other environment, if one is given: torch's initializer, numpy's QR with the
sign fix, and, as the limit, a product of as many operations in OpenBLAS.  Prints the best time of
each and the ratio ours / theirs.
"""

import os
import subprocess
import sys
import time

WORKER = """
import sys, time
import numpy as np
who, shape = sys.argv[1], tuple(map(int, sys.argv[2].split("x")))
threads = int(sys.argv[3])
m, n = max(shape), min(shape)
if who == "ours":
    import fastinit
    fastinit.set_num_threads(threads)
    out = np.empty(shape, np.float32)
    def run(): fastinit.orthogonal(seed=1, out=out)
elif who == "torch":
    import torch
    torch.set_num_threads(threads)
    w = torch.empty(*shape)
    def run(): torch.nn.init.orthogonal_(w)
elif who == "numpy":
    rng = np.random.default_rng(1)
    def run():
        q, r = np.linalg.qr(rng.standard_normal((m, n), np.float32))
        q *= np.sign(np.diagonal(r))
else:
    operations = 2 * m * n * n - 2 * n**3 / 3
    a = np.ones((m, n), np.float32)
    b = np.ones((n, max(1, round(operations / (2 * m * n)))), np.float32)
    def run(): a @ b
for line in sys.stdin:
    start = time.perf_counter()
    run()
    print(time.perf_counter() - start, flush=True)
"""


def worker(python, who, shape, threads):
    """A process that runs once for every line it is sent."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS")}
    env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    command = [python, "-c", WORKER, who, shape, str(threads)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True, bufsize=1)


def main(peers=sys.executable, threads="1", *shapes):
    """Print the table."""
    for shape in shapes or ("1024x1024", "2048x2048"):
        names = ("ours", "torch", "numpy", "sgemm")
        running = {
            name: worker(sys.executable if name == "ours" else peers, name, shape, int(threads))
            for name in names
        }
        best = dict.fromkeys(names, float("inf"))
        for _ in range(3 if max(map(int, shape.split("x"))) > 3000 else 7):
            for name, process in running.items():
                time.sleep(0.3)  # idle threads of the others spin for a while
                process.stdin.write("\n")
                best[name] = min(best[name], float(process.stdout.readline()))
        for process in running.values():
            process.communicate()
        others = (f"{n} {best[n] * 1e3:.1f} ({best['ours'] / best[n]:.3f})" for n in names[1:])
        print(
            f"{shape} {threads} thread(s): ours {best['ours'] * 1e3:.1f} ms;", *others, flush=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
