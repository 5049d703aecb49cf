"""The floating-point modes of the caller change nothing and are left as they were."""

import ctypes
import math
import os
import platform
import shlex
import subprocess
from contextlib import contextmanager
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fills import DISTRIBUTIONS, FLOATS, assert_same_bits, fill

import fastinit
from fastinit import _kernels

# Bits of MXCSR (over its default: all exceptions masked) and of FPCR.
MODES = {
    "x86_64": {
        "default": 0x1F80,
        "flush to zero": 0x9F80,
        "denormals are zero": 0x1FC0,
        "down": 0x3F80,
        "up": 0x5F80,
        "towards zero": 0x7F80,
        "up, flushing": 0xDFC0,
    },
    "aarch64": {
        "default": 0,
        "flush to zero": 1 << 24,
        "up": 1 << 22,
        "down": 2 << 22,
        "towards zero": 3 << 22,
        "up, flushing": 5 << 22,
    },
}.get(platform.machine(), {})

# Each rounds, and with subnormal numbers.
PARAMETERS = {
    "uniform": [(-0.05, 0.1), (-1e-6, 1e-6), (-1e-40, 1e-40), (-1e-310, 1e-310)],
    "normal": [(0.1, 0.7), (0.0, 1e-6), (0.0, 1e-40), (0.0, 1e-310)],
    "truncated": [(0.1, 0.7), (1000.0, 0.05), (0.0, 1e-6), (1e-40, 1e-40), (0.0, 1e-310)],
    "between": [
        (0.1, 0.7, -0.6, 3.9),
        (1000.0, 0.05, 4.0, 5.0),
        (0.0, 1e-6, 0.0, math.inf),
        (1e-40, 1e-40, -3.0, 3.0),
        (0.0, 1e-310, -math.inf, -1.0),
    ],
}


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """get_mode() and set_mode(), compiled here: what built the package can build this."""
    library = tmp_path_factory.mktemp("fpmode") / "fpmode.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    source = Path(__file__).with_name("c") / "fpmode.c"
    subprocess.run([*compiler, "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    functions = ctypes.CDLL(str(library))
    functions.get_mode.restype = ctypes.c_ulong
    functions.get_mode.argtypes = []
    functions.set_mode.restype = None
    functions.set_mode.argtypes = [ctypes.c_ulong]
    return functions


@contextmanager
def in_mode(control, mode):
    """Run the body in a mode and see that it is left so."""
    before = control.get_mode()
    control.set_mode(mode)
    try:
        yield
        after = control.get_mode()
    finally:
        control.set_mode(before)
    # Not the flags of MXCSR, of what has happened: the interpreter's own arithmetic sets those.
    flags = 0x3F if platform.machine() == "x86_64" else 0
    assert hex(after & ~flags) == hex(mode)


def test_the_processor_is_known():
    assert MODES, (
        f"no floating-point modes for {platform.machine()}: add them to MODES and c/fpmode.c"
    )


def test_the_modes_have_an_effect(control):
    """The modes change arithmetic; otherwise this file would test nothing."""
    one, tiny = float("1"), float("2e-308")
    results = set()
    for mode in MODES.values():
        before = control.get_mode()
        control.set_mode(mode)
        results.add(((one / 3).hex(), (-one / 3).hex(), (tiny / 2).hex(), (tiny / 3).hex()))
        control.set_mode(before)
    assert len(results) >= 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_modes_change_nothing_and_stay(isa, control, distribution, dtype, mode):
    for parameters in PARAMETERS[distribution]:
        expected = fill(distribution, dtype, 0, 20_000, 1, parameters)
        with in_mode(control, MODES[mode]):
            found = fill(distribution, dtype, 0, 20_000, 1, parameters)
        assert_same_bits(found, expected)


WINDOWS = [(-0.6, 3.9), (-3.0, 3.0), (8.0, math.inf), (1.0, 1.0001), (2.0**-900, 2.0**-899)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bounds", WINDOWS)
def test_modes_and_the_tables_of_windows(control, bounds, mode):
    """A table is the same whatever mode it is made in, which nearly all of its values show."""
    expected = np.zeros(50_000)
    _kernels.Window(*bounds).fill(expected, 0, 1, 0.0, 1.0, 1)
    found = np.zeros_like(expected)
    with in_mode(control, MODES[mode]):
        window = _kernels.Window(*bounds)
    window.fill(found, 0, 1, 0.0, 1.0, 1)
    assert_same_bits(found, expected)


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_the_threads(control, mode):
    """Threads that start in the caller's mode inherit it: more of them for each mode."""
    threads = 3 + list(MODES).index(mode)
    with in_mode(control, MODES[mode]):
        found = fill("truncated", "float32", 0, 300_000, 1, (1e-40, 1e-40), threads)
    assert_same_bits(found, fill("truncated", "float32", 0, 300_000, 1, (1e-40, 1e-40)))


@pytest.mark.parametrize("mode", MODES)
def test_modes_and_the_public_functions(control, mode):
    """The arithmetic of Python in the caller's mode does not change the result."""
    calls = [
        (fastinit.random_uniform, (-0.05, 0.1)),
        (fastinit.random_normal, (0.1, 0.7)),
        (fastinit.truncated_normal, (1000.1, 0.05)),
    ]
    for sampler, parameters in calls:
        expected = sampler(20_000, *parameters, seed=1)
        before = control.get_mode()
        control.set_mode(MODES[mode])
        found = sampler(20_000, *parameters, seed=1)
        control.set_mode(before)
        assert_same_bits(found, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_modes_and_orthogonal_matrices(control, dtype, mode):
    """Matrices of one thread and of several are right, with a gain that makes subnormals."""
    for shape, gain in [
        ((60, 50), 1.0),
        ((210, 205), 1.0),
        ((20, 30), 3 * ml_dtypes.finfo(dtype).tiny),
    ]:
        expected = fastinit.orthogonal(shape, float(gain), 1, dtype)
        with in_mode(control, MODES[mode]):
            found = fastinit.orthogonal(shape, float(gain), 1, dtype)
        assert_same_bits(found, expected)
