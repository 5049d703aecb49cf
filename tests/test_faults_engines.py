"""Fills beside other libraries that have threads or an OpenMP of their own: PyTorch, joblib."""

import pytest
from processes import run_python

pytestmark = pytest.mark.integration

# PyTorch brings an OpenMP of its own; the one that is loaded first may serve both.
BESIDE_TORCH = """
import sys, zlib
import numpy as np
names = sys.argv[1:]
for name in names:
    __import__(name)
import fastinit, torch
fastinit.set_num_threads(1)
expected = [zlib.crc32(fastinit.random_normal(1 << 20, seed=i)) for i in range(3)]
matrix = fastinit.orthogonal((300, 200), seed=1).tobytes()
for threads in (2, 4, 1, 3):
    fastinit.set_num_threads(threads)
    torch.set_num_threads(5 - threads)
    for i in range(3):
        out = torch.empty(1 << 20)
        torch.mm(torch.ones(200, 200), torch.ones(200, 200))  # its threads
        fastinit.random_normal(out=out, seed=i)
        assert zlib.crc32(out.numpy()) == expected[i], (threads, i)
        assert float(torch.ones(1 << 20).sum()) == 1 << 20
    assert fastinit.orthogonal((300, 200), seed=1).tobytes() == matrix
print(expected)
"""


def test_both_orders_of_importing_torch():
    """Whichever is imported first, both compute with threads, and the values are the same."""
    first = run_python(BESIDE_TORCH, "torch", "fastinit")
    assert run_python(BESIDE_TORCH, "fastinit", "torch") == first


INSIDE_TORCH = """
import threading, zlib
import torch, fastinit
import fastinit.torch as ours
fastinit.set_num_threads(2)
expected = [zlib.crc32(fastinit.random_normal(1 << 18, seed=i)) for i in range(4)]
found = [None] * 4

class Fill(torch.autograd.Function):
    # The backward pass runs on a thread of PyTorch's.
    @staticmethod
    def forward(context, x, i):
        context.i = i
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        out = torch.empty(1 << 18)
        fastinit.random_normal(out=out, seed=context.i)
        found[context.i] = zlib.crc32(out.numpy())
        return gradient, None

for i in range(4):
    Fill.apply(torch.ones(3, requires_grad=True), i).sum().backward()
assert found == expected

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return zlib.crc32(fastinit.random_normal(1 << 18, seed=i))

torch.mm(torch.ones(300, 300), torch.ones(300, 300))  # the workers are forks beside its threads
loader = torch.utils.data.DataLoader(Data(), batch_size=1, num_workers=2)
assert [int(x) for x in loader] == expected
print("equal")
"""


def test_fills_inside_torch():
    """A backward pass and the workers of a DataLoader make the values of the main thread."""
    assert run_python(INSIDE_TORCH, PYTHONWARNINGS="ignore::DeprecationWarning") == "equal"


INSIDE_JOBLIB = """
import sys, zlib
import fastinit, joblib

def digest(i):
    import fastinit, zlib
    fastinit.set_num_threads(2)
    matrix = fastinit.orthogonal((200, 100), seed=i)
    return zlib.crc32(fastinit.random_normal(1 << 19, seed=i)), zlib.crc32(matrix)

def nested(i):
    import joblib
    return joblib.Parallel(2, "threading")(joblib.delayed(digest)(j) for j in (i, i + 1))

expected = [digest(i) for i in range(5)]
pairs = [expected[i : i + 2] for i in range(4)]
for repeat in range(2):
    run = joblib.Parallel(2, sys.argv[1])
    assert run(joblib.delayed(digest)(i) for i in range(5)) == expected
    assert run(joblib.delayed(nested)(i) for i in range(4)) == pairs
print("equal")
"""


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_fills_inside_joblib(backend):
    """Workers of every backend, and threads within them, make the values of the main thread."""
    warnings = "ignore::DeprecationWarning"
    assert run_python(INSIDE_JOBLIB, backend, PYTHONWARNINGS=warnings) == "equal"
