"""Make a JAX array over eight devices, with a shard made for each device.

It writes jax_float32.npy and jax_bfloat16.npy, and compares them with the array that one call
makes.  It needs jax.
"""

import os

# JAX reads these when it is imported.  Eight devices of the host are enough to try it out.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import fastinit
from fastinit import initializers

SHAPE = (1024, 386)


def weights(dtype):
    """Return a JAX array whose shards are on eight devices."""
    lazy = initializers.TruncatedNormal(stddev=0.05, seed=1).lazy(SHAPE, dtype)
    mesh = jax.make_mesh((4, 2), ("rows", "columns"))
    sharding = NamedSharding(mesh, PartitionSpec("rows", "columns"))
    return jax.make_array_from_callback(lazy.shape, sharding, lazy.__getitem__)


if __name__ == "__main__":
    for dtype in ("float32", "bfloat16"):
        array = weights(dtype)
        assert len(array.addressable_shards) == 8
        np.save(f"jax_{dtype}.npy", array)
        whole = fastinit.truncated_normal(SHAPE, stddev=0.05, seed=1, dtype=dtype)
        assert (np.asarray(array) == whole).all()
    print("float32 and bfloat16: the shards of eight devices equal the array of one call")
