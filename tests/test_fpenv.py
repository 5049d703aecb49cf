"""The floating-point modes of the caller change nothing and are left as they were."""

import ctypes
import ctypes.util
import math
import os
import platform
import shlex
import subprocess
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fills import DISTRIBUTIONS, FLOATS, assert_same_bits, fill

import fastinit
from fastinit import _kernels, initializers

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


THIRD = np.longdouble(1) / 3  # of the x87 on x86-64, where float64 has another mode register
TINY = np.float32(1e-40)
WINDOW = np.linspace(0.1, 0.7, 64)
WORDS = np.array([7, 2**64 - 1, 2**40], np.uint64)

# Python's and NumPy's arithmetic before the kernels, and their conversions, also of decimals.
ENTRY_POINTS = {
    "uniform": lambda: fastinit.random_uniform(999, -0.05, THIRD, 1),
    "normal": lambda: fastinit.random_normal(999, 0.1, THIRD, 1, "float64"),
    "truncated": lambda: fastinit.truncated_normal(999, 1000.1, TINY, 1, "float64"),
    "bounds": lambda: fastinit.truncated_normal(999, 0.1, 0.7, 1, "float64", lower=TINY, upper=3.9),
    **{
        name: partial(getattr(fastinit, name), (37, 53), seed=1, dtype="float64")
        for name in ("he_normal", "glorot_uniform", "lecun_uniform", "standard_uniform")
    },
    "scale": lambda: fastinit.variance_scaling((3, 3, 7, 5), TINY, "fan_geo_avg", seed=1),
    "class": lambda: initializers.GlorotNormal(1)((37, 53), "float64"),
    "scale of a class": lambda: initializers.VarianceScaling(TINY, seed=1)((37, 53), "float64"),
    "lazy": lambda: initializers.HeNormal(1).lazy((37, 53), "float64")[3:5],
    "lazy rows": lambda: initializers.HeUniform(1).lazy((37, 53))[[5, 3]],
    "lazy as another dtype": lambda: np.asarray(initializers.HeNormal(1).lazy((37, 53)), "float16"),
    "keyed": lambda: initializers.RandomNormal(0.0, THIRD, 1).keyed(9)[WORDS],
    "constant": lambda: fastinit.constant(4, 1e-40),
    "constants": lambda: fastinit.constant(4, np.array([1e-40, 0.1, -0.1, 1e-7])),
    "constant of a long double": lambda: fastinit.constant(4, THIRD, "float64"),
    "bfloat16 constant": lambda: fastinit.constant(4, 1e-40, "bfloat16"),
    "lazy constant": lambda: initializers.Constant([0.1, 1e-40]).lazy((4, 2))[1],
    "keyed constant": lambda: initializers.Constant(-0.1).keyed(2)[WORDS],
    "identity": lambda: fastinit.identity((3, 3), 1e-40),
    "lazy identity": lambda: initializers.Identity(0.1).lazy((3, 3))[:2],
    "stft": lambda: fastinit.stft((64, 1, 33), dtype="float64"),
    "stft, imaginary": lambda: fastinit.stft((64, 1, 33), "imag", WINDOW, "spectrum"),
    "get": lambda: initializers.get(np.array([1e-40, 0.1]))((2,)),
    "lazy stack": lambda: initializers.Orthogonal(0.1, 1, 0).lazy((9, 5, 4), "float16")[2:4, 1],
    "configuration": lambda: initializers.serialize(initializers.RandomNormal(TINY, 0.1, 1)),
    "its initializer": lambda: initializers.get(
        {"class_name": "VarianceScaling", "config": {"scale": TINY, "seed": 1}}
    )((3, 4)),
    "repr": lambda: repr(initializers.RandomNormal(5e-324, 8.41e21)),
    "lazy repr": lambda: repr(initializers.RandomNormal(5e-324, 8.41e21, 1).lazy((4, 4))),
    "equality": lambda: initializers.Constant(1e-310) == initializers.Constant(0.0),
    "an error": lambda: initializers.RandomUniform(-1.5e308, 1.5e308),
    "a bound that is just finite": lambda: initializers.RandomNormal(
        float.fromhex("0x1.fffffffffffffp+1023"), 1e290
    ),
}


def outcome(call):
    """Return what a call returns, as bytes or text, or the text of its error."""
    try:
        found = call()
    except ValueError as error:
        return str(error)
    return found.tobytes() if isinstance(found, np.ndarray) else repr(found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_modes_and_entry_points(control, name, mode):
    expected = outcome(ENTRY_POINTS[name])
    with in_mode(control, MODES[mode]):
        found = outcome(ENTRY_POINTS[name])
    assert found == expected


@pytest.mark.parametrize("mode", ["FE_DOWNWARD", "FE_UPWARD", "FE_TOWARDZERO"])
def test_rounding_of_the_c_library(mode):
    """fesetround() sets the x87, too, which converts a long double to a float64."""
    modes = {
        "x86_64": {"FE_DOWNWARD": 0x400, "FE_UPWARD": 0x800, "FE_TOWARDZERO": 0xC00},
        "aarch64": {"FE_DOWNWARD": 2 << 22, "FE_UPWARD": 1 << 22, "FE_TOWARDZERO": 3 << 22},
    }[platform.machine()]
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    expected = {name: outcome(call) for name, call in ENTRY_POINTS.items()}
    before = libm.fegetround()
    assert libm.fesetround(modes[mode]) == 0
    try:
        found = {name: outcome(call) for name, call in ENTRY_POINTS.items()}
        after = libm.fegetround()
    finally:
        libm.fesetround(before)
    assert after == modes[mode]
    assert found == expected


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
