"""Initialize a network of flax on one device and on meshes of eight devices, and print digests.

All digests are equal.  This script needs jax and flax.
"""

import hashlib
import os

# These must be set before JAX is imported.  They make eight devices of the CPU.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import fastinit.jax

RULES = {
    "*/embedding": fastinit.jax.normal(0.02),
    "*/recurrent/kernel": fastinit.jax.orthogonal(),
    "*/kernel": fastinit.jax.he_normal(),
    "*/scale": 1,
    "*/bias": 0,
}


class Network(nn.Module):
    """A few layers with parameters of several kinds."""

    @nn.compact
    def __call__(self, tokens):
        """Return logits."""
        x = nn.Embed(1024, 256, name="tokens")(tokens)
        x = nn.relu(nn.Dense(512, name="up")(nn.LayerNorm(name="norm")(x)))
        x = nn.tanh(nn.Dense(512, name="recurrent")(x))
        return nn.Dense(1024, name="logits")(x)


def shardings(abstract, matrix, vector):
    """Return the shardings of a tree: one for its matrices and one for its vectors."""
    return jax.tree.map(lambda leaf: matrix if len(leaf.shape) == 2 else vector, abstract)


def digest(params):
    """Return a hash of all parameters, each as a whole."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        found.update(np.asarray(leaf))
    return found.hexdigest()[:16]


if __name__ == "__main__":
    # Nothing is computed here: the tree holds only shapes and dtypes.
    abstract = jax.eval_shape(Network().init, jax.random.key(0), jnp.zeros((1, 8), int))

    params = fastinit.jax.initialize(abstract, seed=0, rule=RULES)
    print("one device:", digest(params))

    line = jax.make_mesh((8,), ("x",))
    rows = NamedSharding(line, PartitionSpec("x"))
    params = fastinit.jax.initialize(abstract, rows, seed=0, rule=RULES)
    print("eight devices, rows:", digest(params))

    mesh = jax.make_mesh((4, 2), ("data", "model"))
    both = NamedSharding(mesh, PartitionSpec("data", "model"))
    model = NamedSharding(mesh, PartitionSpec("model"))
    places = shardings(abstract, both, model)
    params = fastinit.jax.initialize(abstract, places, seed=0, rule=RULES)
    print("4 x 2 devices, rows and columns:", digest(params))

    kernel = params["params"]["up"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(64, 256)}

    copies = NamedSharding(mesh, PartitionSpec())
    params = fastinit.jax.initialize(abstract, copies, seed=0, rule=RULES)
    print("4 x 2 devices, a copy on each:", digest(params))
