"""Uses of the public names for a type checker: `mypy --strict tests/typing_sample.py`."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import fastinit

weights = fastinit.truncated_normal((4096, 128), stddev=0.05, seed=1)
assert_type(weights, npt.NDArray[Any])
kernel = fastinit.random_uniform([3, 3, 8], -0.1, 0.1, seed=np.uint64(2**63), dtype="float64")
bias: npt.NDArray[Any] = fastinit.random_normal(np.int64(10), 0, 1, None, np.float32)
out = np.empty((2, 3), np.float32)
fastinit.random_normal(out=out, seed=7)
words = fastinit.random_bits((8,), 0, np.dtype("uint64"))

fastinit.set_num_threads(fastinit.get_num_threads())
assert_type(fastinit.get_num_threads(), int)
assert_type(fastinit.STREAM_VERSION, int)
version: str = fastinit.__version__
config = fastinit.show_config(mode="dicts")
assert config is not None
print(config["ISA in use"])

fastinit.truncated_normal("wrong")  # type: ignore[arg-type]
fastinit.random_normal((2,), seed=1.5)  # type: ignore[arg-type]
