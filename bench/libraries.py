"""The libraries that are measured: one class each, imported in a worker process of its own.

`call(name, shape, dtype, out)` returns a function that fills `out`, or that makes a new array where
out is None.  It returns None where the library has no such function.  Normal means N(0, 1), uniform
[0, 1), truncated N(0, 1) within 2 standard deviations, orthogonal a Haar matrix.
"""

import ctypes
import glob
import itertools
import os
import sys
import tempfile
from functools import partial
from importlib.metadata import version
from math import prod

import numpy as np


def batches_of_ids(n):
    """Return batches of n random ids without end, so many that no cache has their rows."""
    return itertools.cycle(np.random.default_rng(1).integers(0, 10**6, (500, n)))


class Library:
    """A library that is limited to a number of threads."""

    distribution = ""  # its name on the package index
    memory = ("out", "fresh")  # what it can fill

    def __init__(self, threads):
        self.threads = threads

    def describe(self):
        return version(self.distribution)

    @staticmethod
    def array(result):
        return np.asarray(result)


class Limit(Library):
    """The lower bound of a fill: memset of a warm array, np.ones for a new one.

    An orthogonal matrix is bounded by a product of NumPy's OpenBLAS with as many operations, and a
    file by one of zeros.
    """

    distribution = "numpy"
    memory = ("out", "fresh", "file")

    def call(self, name, shape, dtype, out):
        if name == "orthogonal":
            m, n = max(shape), min(shape)
            operations = 2 * m * n * n - 2 * n**3 / 3  # n reflectors applied to what they change
            a = np.ones((m, n), dtype)
            b = np.ones((n, max(1, round(operations / (2 * m * n)))), dtype)
            return lambda: a @ b
        if name == "create" and self.threads == 1:
            return partial(self.zeros, prod(shape) * np.dtype(dtype).itemsize)
        if name != "limit" or self.threads > 1:
            return None
        if out is None:
            return partial(np.ones, shape, dtype)
        return lambda: ctypes.memset(out.ctypes.data, 1, out.nbytes)

    @staticmethod
    def zeros(size):
        """Write that many bytes to the disk."""
        block = bytes(4 << 20)
        with tempfile.NamedTemporaryFile(dir=".") as file:
            for _ in range(size // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())


class Fastinit(Library):
    distribution = "fastinit-kernels"
    memory = ("out", "fresh", "memmap", "file")

    def __init__(self, threads):
        super().__init__(threads)
        import fastinit

        fastinit.set_num_threads(threads)

    def call(self, name, shape, dtype, out):
        import fastinit
        from fastinit._bench import OURS

        if name == "orthogonal":
            return lambda: fastinit.orthogonal(shape, 1.0, 1, dtype, out=out)
        if name == "rows":
            lazy = fastinit.initializers.TruncatedNormal(0.0, 1.0, seed=1).lazy((2**40, *shape[1:]))
            ids = np.random.default_rng(1).integers(0, 2**40, shape[0])
            return lambda: lazy.read(ids, out)
        if name == "lookup":
            lazy = fastinit.initializers.TruncatedNormal(0.0, 1.0, seed=1).lazy((10**8, shape[1]))
            ids = batches_of_ids(shape[0])
            return lambda: lazy[next(ids)]
        if name == "create":
            return partial(self.create, shape, dtype)
        if name.startswith("between "):
            lower, upper = map(float, name.split()[1:])
            return lambda: fastinit.truncated_normal(
                shape, 0.0, 1.0, 1, dtype, lower=lower, upper=upper, out=out
            )
        if name in OURS:
            return partial(OURS[name], shape, dtype, out)
        return None

    def create(self, shape, dtype):
        from fastinit._cli.main import main

        with tempfile.TemporaryDirectory(dir=".") as folder:
            options = f"--init truncated_normal --stddev 1 --seed 1 --dtype {dtype} --quiet"
            options += f" --shape {'x'.join(map(str, shape))} --threads {self.threads}"
            if main(["create", f"{folder}/x.npy", *options.split()]):
                raise RuntimeError("fastinit create failed")
            return np.load(f"{folder}/x.npy", mmap_mode="r")


class NumPy(Library):
    distribution = "numpy"
    bit_generator = np.random.PCG64

    def call(self, name, shape, dtype, out):
        from fastinit._bench import NUMPY

        rng = np.random.Generator(self.bit_generator(1))
        if name == "orthogonal" and self.bit_generator is np.random.PCG64:

            def orthogonal():
                q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape)), dtype))
                return np.multiply(q, np.sign(np.diagonal(r)), out=out)

            return orthogonal
        if name == "lookup" and self.bit_generator is np.random.PCG64:
            table = rng.standard_normal((10**6, shape[1]), dtype)
            ids = batches_of_ids(shape[0])
            return lambda: table[next(ids)]
        if name in NUMPY and self.threads == 1:
            return partial(NUMPY[name], rng, shape, np.dtype(dtype).type, out)
        return None


class NumPyPhilox(NumPy):
    bit_generator = np.random.Philox


class RandomGen(NumPy):
    """Philox4x32 as a bit generator for NumPy's own distributions."""

    distribution = "randomgen"

    @staticmethod
    def bit_generator(seed):
        import randomgen

        return randomgen.Philox(seed, number=4, width=32)


class SciPy(Library):
    distribution = "scipy"
    memory = ("fresh",)

    def call(self, name, shape, dtype, out):
        if name != "truncated" or dtype != "float64":
            return None
        from scipy.stats import truncnorm

        return partial(truncnorm(-2, 2).rvs, shape, random_state=np.random.default_rng(1))


class MKL(Library):
    """MKL VSL, Philox4x32-10: uniform; Gaussian by ICDF; truncated by uniform and ErfInv in blocks.

    These methods are its fastest: float32 by ICDF takes 7.0 ns an element, by BoxMuller2 9.2;
    truncated by ErfInv 7.0, by CdfNormInv 21; in blocks of 4096 8.3, of 16384 7.3, of 32768 to
    131072 7.0 to 7.2.  All were measured on a processor that MKL gives its slowest code.  Its
    float64 numbers hold 32 random bits.
    """

    distribution = "mkl"
    memory = ("out",)
    PHILOX, ICDF, LOW_ACCURACY = 16 << 20, 2, 1
    BLOCK = 65536

    def __init__(self, threads):
        super().__init__(threads)
        self.mkl = ctypes.CDLL(sorted(glob.glob(sys.prefix + "/lib/libmkl_rt.so*"))[0])
        self.stream = ctypes.c_void_p()
        if self.mkl.vslNewStream(ctypes.byref(self.stream), self.PHILOX, 1):
            raise OSError("vslNewStream failed")
        self.mkl.vmlSetMode(self.LOW_ACCURACY)

    def describe(self):
        # The numbers are those of mkl_cbwr.h.  MKL takes the slowest where the processor is not
        # Intel's.
        branches = {2: "compatible", 3: "SSE2", 8: "AVX", 9: "AVX", 10: "AVX2"}
        branch = self.mkl.mkl_cbwr_get_auto_branch()
        return f"{version('mkl')} (code branch {branch}: {branches.get(branch, 'AVX-512')})"

    def call(self, name, shape, dtype, out):
        letter, real = ("s", ctypes.c_float) if dtype == "float32" else ("d", ctypes.c_double)

        def prepared(function, *arguments):
            """Return a call with arguments converted to C, so that the conversion is not timed."""
            found = self.mkl[f"v{letter}{function}"]
            found.argtypes = [type(a) for a in arguments]
            return partial(found, *arguments)

        def draw(function, method, array, a, b):
            n, x = ctypes.c_int(array.size), ctypes.c_void_p(array.ctypes.data)
            return prepared(function, ctypes.c_int(method), self.stream, n, x, real(a), real(b))

        if name == "uniform":
            return draw("RngUniform", 0, out, 0, 1)
        if name == "normal":
            return draw("RngGaussian", self.ICDF, out, 0, 1)
        if name != "truncated":
            return None
        bound = 0.95449973610364158  # erf(sqrt(2))
        sqrt_2 = out.dtype.type(2**0.5)
        steps = []
        for start in range(0, out.size, self.BLOCK):
            block = out.reshape(-1)[start:][: self.BLOCK]
            x = ctypes.c_void_p(block.ctypes.data)
            steps += [
                draw("RngUniform", 0, block, -bound, bound),
                prepared("ErfInv", ctypes.c_int(block.size), x, x),
                partial(np.multiply, block, sqrt_2, block),
            ]

        def truncated():
            for step in steps:
                step()

        return truncated


class MKLRandom(Library):
    distribution = "mkl_random"
    memory = ("fresh",)

    def call(self, name, shape, dtype, out):
        import mkl_random

        state = mkl_random.MKLRandomState(1, brng="PHILOX4X32X10")
        if dtype != "float64" or name not in ("uniform", "normal"):
            return None
        if name == "uniform":
            return partial(state.random_sample, shape)
        return partial(state.normal, 0.0, 1.0, shape, method="ICDF")


class Torch(Library):
    distribution = "torch"
    memory = ("out",)

    def __init__(self, threads):
        super().__init__(threads)
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(1)

    def call(self, name, shape, dtype, out):
        import torch

        if dtype == "bfloat16":
            tensor = torch.from_numpy(out.view(np.int16)).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(out)
        calls = {
            "uniform": partial(tensor.uniform_, 0, 1),
            "normal": partial(tensor.normal_, 0, 1),
            "truncated": partial(torch.nn.init.trunc_normal_, tensor, 0, 1, -2, 2),
            "orthogonal": partial(torch.nn.init.orthogonal_, tensor),
        }
        return calls.get(name)


class JAX(Library):
    distribution = "jax"
    memory = ("fresh",)

    def call(self, name, shape, dtype, out):
        import jax

        jax.config.update("jax_enable_x64", True)
        draw = {
            "uniform": lambda key: jax.random.uniform(key, shape, dtype),
            "normal": lambda key: jax.random.normal(key, shape, dtype),
            "truncated": lambda key: jax.random.truncated_normal(key, -2, 2, shape, dtype),
            "orthogonal": lambda key: jax.nn.initializers.orthogonal()(key, shape, dtype),
        }.get(name)
        if draw is None:
            return None
        compiled, key = jax.jit(draw), jax.random.key(1)
        return lambda: compiled(key).block_until_ready()


class TensorFlow(Library):
    distribution = "tensorflow"
    memory = ("fresh",)

    def __init__(self, threads):
        super().__init__(threads)
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)

    def call(self, name, shape, dtype, out):
        import tensorflow as tf

        draw = {
            "uniform": tf.random.stateless_uniform,
            "normal": tf.random.stateless_normal,
            "truncated": tf.random.stateless_truncated_normal,
        }.get(name)
        return draw and partial(draw, shape, (1, 2), dtype=dtype)


class Keras(TensorFlow):
    """Keras on TensorFlow."""

    distribution = "keras"

    def call(self, name, shape, dtype, out):
        from keras import initializers

        initializer = {
            "uniform": partial(initializers.RandomUniform, 0.0, 1.0),
            "normal": partial(initializers.RandomNormal, 0.0, 1.0),
            "truncated": partial(initializers.TruncatedNormal, 0.0, 1.0),
            "orthogonal": partial(initializers.Orthogonal, 1.0),
        }.get(name)
        return initializer and partial(initializer(seed=1), shape, dtype)


def runners():
    """Return {name: (class, threads, environment)}, this library first."""
    from fastinit import _kernels

    cores = len(os.sched_getaffinity(0))
    counts = sorted({1, min(2, cores)})
    best = _kernels.isas()[-1]
    found = {}
    for isa in reversed(_kernels.isas()):
        for n in counts:
            found[f"fastinit {isa}, {n}"] = (Fastinit, n, {"FASTINIT_ISA": isa})
    for n in counts:
        found[f"limit, {n}"] = (Limit, n, {})
    for n in counts:
        found[f"numpy, {n}"] = (NumPy, n, {})
    found["numpy Philox, 1"] = (NumPyPhilox, 1, {})
    found["randomgen Philox4x32, 1"] = (RandomGen, 1, {})
    found["scipy, 1"] = (SciPy, 1, {})
    found["mkl, 1"] = (MKL, 1, {})
    if best == "avx512":  # otherwise it makes no difference
        found["mkl held to AVX2, 1"] = (MKL, 1, {"MKL_ENABLE_INSTRUCTIONS": "AVX2"})
    found["mkl_random, 1"] = (MKLRandom, 1, {})
    for name, library in (("torch", Torch), ("jax", JAX), ("tensorflow", TensorFlow)):
        for n in counts:
            found[f"{name}, {n}"] = (library, n, {})
    for n in counts:
        found[f"keras, {n}"] = (Keras, n, {"KERAS_BACKEND": "tensorflow"})
    return found
