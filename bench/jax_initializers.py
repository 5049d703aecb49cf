"""Time the initializers of fastinit.jax beside JAX's own.

    python bench/jax_initializers.py            print the table, in a minute on two cores
    python bench/jax_initializers.py --write    write bench/jax_initializers.md, too

Each call is timed until its result is ready.  JAX's and ours take turns in one process, and the
least time of each counts, because other load on the machine only adds to a time.
"""

import argparse
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
from report import machine, table

import fastinit
import fastinit.jax

COMMAND = ".venv/bin/pip install '.[jax]' && .venv/bin/python bench/jax_initializers.py --write"
REPORT = Path(__file__).with_suffix(".md")
ROUNDS = 7
SHAPE = (4096, 4096)
KEY = jax.random.key(0)
HEAD = ["call", "JAX, ms", "fastinit, ms", "fastinit / JAX", "must", "holds"]


def least(*functions, rounds=ROUNDS, calls=1):
    """Return the least times of functions that take turns, in ms for each call."""
    found = [float("inf")] * len(functions)
    for function in functions:
        jax.block_until_ready(function())  # compiled here
    for _ in range(rounds):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            for _ in range(calls):
                jax.block_until_ready(function())
            found[i] = min(found[i], (time.perf_counter() - start) / calls)
    return [1e3 * seconds for seconds in found]


def eager(name, shape=SHAPE, dtype=jnp.float32, **arguments):
    """Return JAX's call and ours."""
    found = []
    for module in (jax.nn.initializers, fastinit.jax):
        init = getattr(module, name)(**arguments)
        found.append(lambda init=init: init(KEY, shape, dtype))
    return found


def jitted(name, shape=SHAPE, dtype=jnp.float32, **arguments):
    """Return JAX's call and ours, compiled."""
    found = []
    for module in (jax.nn.initializers, fastinit.jax):
        init = getattr(module, name)(**arguments)
        compiled = jax.jit(lambda key, init=init: init(key, shape, dtype))
        found.append(lambda compiled=compiled: compiled(KEY))
    return found


def stacked(name, count, shape):
    """Return JAX's call and ours for several keys under vmap and jit."""
    keys = jax.random.split(KEY, count)
    found = []
    for module in (jax.nn.initializers, fastinit.jax):
        init = getattr(module, name)()
        compiled = jax.jit(jax.vmap(lambda key, init=init: init(key, shape)))
        found.append(lambda compiled=compiled: compiled(keys))
    return found


def compiled_anew(name, count):
    """Return JAX's call and ours of a program of several shapes, compilation included."""
    keys = list(jax.random.split(KEY, count))

    def call(module):
        init = getattr(module, name)()
        return jax.jit(lambda: [init(key, (64, 64 + i)) for i, key in enumerate(keys)])()

    return [lambda: call(jax.nn.initializers), lambda: call(fastinit.jax)]


# Each row has its two calls, what their ratio must be at most, and how many calls are timed
# at once.
ROWS = [
    ("`he_normal()(key, (4096, 4096))`", eager("he_normal"), 0.2, 1),
    ("the same under `jit`", jitted("he_normal"), 0.3, 1),
    ("`he_uniform()`", eager("he_uniform"), None, 1),
    ("`normal()`", eager("normal"), None, 1),
    ("`he_normal()`, bfloat16", eager("he_normal", dtype=jnp.bfloat16), None, 1),
    ("the same under `jit`", jitted("he_normal", dtype=jnp.bfloat16), None, 1),
    (
        "`he_normal()`, complex64, (2048, 2048)",
        eager("he_normal", (2048,) * 2, "complex64"),
        None,
        1,
    ),
    ("`orthogonal()`, (1024, 1024)", eager("orthogonal", (1024, 1024)), None, 1),
    (
        "16 keys under `vmap` and `jit`, (1024, 1024)",
        stacked("he_normal", 16, (1024,) * 2),
        None,
        1,
    ),
    ("`he_normal()(key, (64, 64))`", eager("he_normal", (64, 64)), None, 200),
    ("the same under `jit`", jitted("he_normal", (64, 64)), None, 200),
    (
        "`jit` of `he_normal()` for 8 shapes, with compilation",
        compiled_anew("he_normal", 8),
        None,
        1,
    ),
]


def callbacks():
    """Return the times of a fill, and of two callbacks of JAX that make it in different ways.

    The first returns an array, which JAX copies; the second, which our initializers use on a CPU,
    writes into JAX's memory.
    """

    def by_copy(key):
        result = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
        return jax.pure_callback(
            lambda words: fastinit.he_normal(SHAPE, seed=0), result, jax.random.key_data(key)
        )

    copied, in_place = jax.jit(by_copy), jitted("he_normal")[1]
    return least(
        lambda: fastinit.he_normal(SHAPE, seed=0), lambda: copied(KEY), in_place, rounds=2 * ROUNDS
    )


TEXT = """# Initializers of JAX

Written by `{command}` on {day}.

Machine: {machine}.
Versions: {versions}.

Milliseconds: the least of {rounds} turns with {threads} threads, until the result is ready. Arrays
are (4096, 4096) of float32 where nothing else is said.

{table}

Measured again by themselves, the least of twice as many turns: `fastinit.he_normal` alone takes
{fill:.3g} ms. Under `jit`, a callback that returns its array takes {copied:.3g} ms, because JAX
copies the array into memory of its own, on one thread and on small pages. A callback that writes
into JAX's memory takes {in_place:.3g} ms. On a CPU the initializers use the latter, JAX's
`buffer_callback`, which goes through XLA's foreign function interface. A C function behind that
interface could save no more than the difference between this and the first number.
"""


def main():
    """Time all rows, print the table, and write the report if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write bench/{REPORT.name}")
    options = parser.parse_args()
    rows = []
    for name, calls, must, count in ROWS:
        theirs, ours = least(*calls, calls=count)
        ratio = ours / theirs
        holds = "" if must is None else "yes" if ratio <= must else "**no**"
        limit = "" if must is None else f"{must:.3g}"
        rows.append([name, f"{theirs:.4g}", f"{ours:.4g}", f"{ratio:.3g}", limit, holds])
    fill, copied, in_place = callbacks()
    names = ("fastinit-kernels", "jax", "jaxlib", "numpy")
    text = TEXT.format(
        command=COMMAND,
        day=datetime.now(UTC).date(),
        machine=machine(),
        versions="; ".join(f"{name} {version(name)}" for name in names),
        rounds=ROUNDS,
        threads=fastinit.get_num_threads(),
        table=table(HEAD, rows),
        fill=fill,
        copied=copied,
        in_place=in_place,
    )
    print(text)
    if options.write:
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
