"""Time the construction of a large Keras layer, and write bench/keras_layers.md.

    python bench/keras_layers.py               all backends, in 2 minutes on two cores
    python bench/keras_layers.py --only torch  print the rows of one backend

A Dense layer of 8192 inputs and 8192 units (2048 for Orthogonal) is built with an initializer of
Keras and with the class of the same name of fastinit.keras.  The two take turns in one process for
each backend, and the least time of each counts, because other load on the machine only adds to a
time.  Beside it are the times of filling a NumPy array and of copying it into the backend's tensor.
"""

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from report import machine, table

COMMAND = (
    ".venv/bin/pip install '.[keras]' jax tensorflow 'torch==2.13.0' && "
    ".venv/bin/python bench/keras_layers.py"
)
REPORT = Path(__file__).with_suffix(".md")
BACKENDS = ("jax", "torch", "tensorflow")
CLASSES = ("HeNormal", "GlorotUniform", "Orthogonal")
UNITS = {"Orthogonal": 2048}
THREADS = 2
ROUNDS = 7
MUST = 0.3


def time_backend(backend):
    """Print the least times, in ms, of each class: Keras, fastinit, the array, the tensor."""
    os.environ["KERAS_BACKEND"] = backend
    import keras

    import fastinit
    from fastinit import initializers as arrays
    from fastinit.keras import initializers

    fastinit.set_num_threads(THREADS)
    if backend == "torch":
        import torch

        torch.set_num_threads(THREADS)

    def ready(value):
        if backend == "jax":
            value.block_until_ready()
        return value  # the others have computed it when the call returns

    for name in CLASSES:
        units = UNITS.get(name, 8192)

        def build(module, name=name, units=units):
            layer = keras.layers.Dense(
                units, use_bias=False, kernel_initializer=getattr(module, name)(seed=1)
            )
            layer.build((None, units))
            ready(layer.kernel.value)

        def array(name=name, units=units):
            return getattr(arrays, name)(seed=1)((units, units))

        made = array()
        ways = [
            lambda build=build: build(keras.initializers),
            lambda build=build: build(initializers),
            array,
            lambda made=made: ready(keras.ops.convert_to_tensor(made)),
        ]
        least = [float("inf")] * len(ways)
        for _ in range(ROUNDS):
            for n, way in enumerate(ways):
                start = time.perf_counter()
                result = way()
                least[n] = min(least[n], time.perf_counter() - start)
                del result
        print(name, units, *(1e3 * value for value in least))


HEAD = [
    *("backend", "initializer", "size", "Keras, ms", "fastinit, ms", "array, ms", "copy, ms"),
    *("fastinit / Keras", "must", "holds"),
]

TEXT = """# Construction of a Keras layer

Written by `{command}` on {day}.

Machine: {machine}.
Versions: {versions}.

A layer `Dense(size)` is built for inputs of that size. Milliseconds of wall time: the least of
{rounds} turns. fastinit and PyTorch run {threads} threads; JAX and TensorFlow use all processors.
"array" is the time of filling a NumPy array with fastinit, and "copy" the time of copying that
array into the backend's tensor with `keras.ops.convert_to_tensor`. `fastinit.keras` does without
the copy where the backend can share the memory of the array, as for these sizes.

{table}
"""


def rows_of(backend):
    """Return the rows of the report for one backend, timed in a process of its own."""
    command = [sys.executable, __file__, "--time", backend]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows = []
    for line in done.stdout.splitlines():
        name, units, *times = line.split()
        keras, ours, array, copy = (float(word) for word in times)
        rows.append(
            [
                *(backend, name, units, f"{keras:.4g}", f"{ours:.4g}", f"{array:.4g}"),
                *(f"{copy:.4g}", f"{ours / keras:.3g}", f"{MUST}"),
                "yes" if ours <= MUST * keras else "**no**",
            ]
        )
    return rows


def main():
    """Time the layers and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=BACKENDS, help="print the rows of one backend")
    parser.add_argument("--time", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        time_backend(options.time)
        return
    rows = []
    for backend in [options.only] if options.only else BACKENDS:
        rows += rows_of(backend)
        for row in rows[-len(CLASSES) :]:
            print(*row, sep=" | ", flush=True)
    if options.only:
        return
    names = ("fastinit-kernels", "numpy", "keras", "jax", "torch", "tensorflow")
    text = TEXT.format(
        command=COMMAND,
        day=datetime.now(UTC).date(),
        machine=machine(),
        versions="; ".join(f"{name} {version(name)}" for name in names),
        rounds=ROUNDS,
        threads=THREADS,
        table=table(HEAD, rows),
    )
    REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
