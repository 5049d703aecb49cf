"""flax's layers take the initializers of fastinit.jax, in linen and in nnx."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fills import assert_same_bits
from flax import nnx

import fastinit.jax

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]
X = jnp.ones((2, 12))


class Network(nn.Module):
    """Layers of several kinds; what each draws is known by its own scale."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(32, kernel_init=fastinit.jax.he_normal())(x)
        x = nn.Dense(32, kernel_init=fastinit.jax.orthogonal(), dtype="bfloat16")(x)
        x = nn.Dense(8, param_dtype="bfloat16", kernel_init=fastinit.jax.glorot_uniform())(x)
        x = nn.Embed(20, 8, embedding_init=fastinit.jax.normal(0.5))(x.argmax(-1)) + x
        x = nn.Conv(4, (3,), kernel_init=fastinit.jax.delta_orthogonal())(
            jnp.repeat(x[:, None, :4], 5, 1)
        )
        return nn.MultiHeadDotProductAttention(
            2, kernel_init=fastinit.jax.lecun_normal(), bias_init=fastinit.jax.constant(0.1)
        )(x, x)


def leaves(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def assert_same_trees(found, expected):
    found, expected = leaves(found), leaves(expected)
    assert found.keys() == expected.keys()
    for name in found:
        assert found[name].tobytes() == expected[name].tobytes(), name


def test_linen():
    network = Network()
    key = jax.random.key(3)
    eager = network.init(key, X)
    jitted = jax.jit(network.init)(key, X)
    assert_same_trees(jitted, eager)
    keys = jax.random.split(key, 3)
    several = jax.jit(jax.vmap(network.init, in_axes=(0, None)))(keys, X)
    for i in range(3):
        assert_same_trees(
            jax.tree.map(lambda leaf, i=i: leaf[i], several), network.init(keys[i], X)
        )
    shapes = jax.eval_shape(network.init, key, X)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), eager
    )
    params = eager["params"]
    assert params["Dense_2"]["kernel"].dtype == "bfloat16"
    matrix = np.asarray(params["Dense_1"]["kernel"])
    assert np.abs(matrix @ matrix.T - np.eye(32)).max() < 1e-5
    assert (params["MultiHeadDotProductAttention_0"]["out"]["bias"] == np.float32(0.1)).all()
    # flax gives an initializer the flat shape of a DenseGeneral: (features, heads * size).
    query = params["MultiHeadDotProductAttention_0"]["query"]["kernel"]
    assert query.shape == (4, 2, 2)
    assert np.abs(query).max() <= 2 * np.sqrt(1 / 4) / 0.8796
    assert_same_trees(network.init(jax.random.key(3), X), eager)
    others = network.init(jax.random.key(4), X)["params"]
    assert (others["Dense_0"]["kernel"] != params["Dense_0"]["kernel"]).all()
    assert (params["Dense_0"]["kernel"][:8, :8] != params["Dense_1"]["kernel"][:8, :8]).all()


def test_a_linen_network_learns():
    """Gradients pass through a network whose parameters share memory with NumPy."""
    network = nn.Dense(1, kernel_init=fastinit.jax.he_normal())
    params = jax.jit(network.init)(jax.random.key(0), X)
    target = jnp.array([[1.0], [-1.0]])
    x = jnp.stack([jnp.arange(12.0), -jnp.arange(12.0)]) / 12

    @jax.jit
    def loss(params):
        return jnp.mean((network.apply(params, x) - target) ** 2)

    step = jax.jit(
        lambda params: jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params)),
        donate_argnums=0,
    )
    first = loss(params)
    for _ in range(100):
        params = step(params)
    assert loss(params) < 1e-3 < first


def test_layers_of_a_linen_scan_get_values_of_their_own():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.remat(nn.Dense)(12, kernel_init=fastinit.jax.he_normal())(x), None

    stack = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=4)()
    params = jax.jit(stack.init)(jax.random.key(0), X, None)
    (kernels,) = (leaf for name, leaf in leaves(params).items() if name.endswith("kernel"))
    assert kernels.shape == (4, 12, 12)
    assert len({kernel.tobytes() for kernel in kernels}) == 4
    gradient = jax.grad(lambda params: stack.apply(params, X, None)[0].sum())(params)
    assert all(np.isfinite(leaf).all() for leaf in leaves(gradient).values())


class Model(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(12, 32, kernel_init=fastinit.jax.he_normal(), rngs=rngs)
        self.second = nnx.Linear(32, 32, kernel_init=fastinit.jax.orthogonal(), rngs=rngs)
        self.embed = nnx.Embed(20, 8, embedding_init=fastinit.jax.normal(0.5), rngs=rngs)
        self.attention = nnx.MultiHeadAttention(
            2, 32, kernel_init=fastinit.jax.lecun_normal(), rngs=rngs, decode=False
        )
        self.conv = nnx.Conv(4, 8, (3, 3), kernel_init=fastinit.jax.glorot_normal(), rngs=rngs)

    def __call__(self, x):
        return self.attention(nnx.relu(self.second(nnx.relu(self.first(x)))))


def test_nnx():
    eager = nnx.state(Model(nnx.Rngs(3)))
    jitted = nnx.state(nnx.jit(lambda: Model(nnx.Rngs(3)))())
    assert_same_trees(jitted, eager)
    shapes = nnx.state(nnx.eval_shape(lambda: Model(nnx.Rngs(3))))
    assert jax.tree.map(lambda leaf: leaf.shape, shapes) == jax.tree.map(
        lambda leaf: leaf.shape, eager
    )
    several = nnx.vmap(lambda rngs: Model(rngs))(nnx.Rngs(3).split(3))
    kernels = np.asarray(several.first.kernel[...])
    assert kernels.shape == (3, 12, 32)
    assert len({kernel.tobytes() for kernel in kernels}) == 3
    found = leaves(eager)
    kernel = found["second/kernel/value"]
    assert np.abs(kernel @ kernel.T - np.eye(32)).max() < 1e-5
    assert (found["first/kernel/value"][:12, :12] != kernel[:12, :12]).all()


def test_a_linear_layer_of_nnx_has_the_values_of_its_key():
    layer = nnx.Linear(12, 32, kernel_init=fastinit.jax.he_normal(), rngs=nnx.Rngs(5))
    key = nnx.Rngs(5).params()
    assert_same_bits(layer.kernel[...], fastinit.jax.he_normal()(key, (12, 32)))


def test_nnx_trains_under_jit():
    model = Model(nnx.Rngs(0))

    @nnx.jit
    def loss(model, x):
        return (model(x) ** 2).sum()

    gradient = nnx.grad(loss)(model, jnp.ones((1, 3, 12)))
    assert all(np.isfinite(leaf).all() for leaf in leaves(gradient).values())
