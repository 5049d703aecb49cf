"""fastinit.jax.initialize: values by path and seed, equal for every sharding, by shards."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fills import assert_same_bits
from flax import nnx
from processes import run_python

import fastinit
import fastinit.jax

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default:::flax")]
EIGHT = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


def leaves(tree):
    """Return the leaves of a tree with their paths."""
    found = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in found]


def matches_any(names, pattern):
    return any(fnmatchcase(name.removesuffix("/value"), pattern) for name in names)


def assert_same_deviation(found, theirs, path):
    """Compare the standard deviations of samples, with 1 false alarm in 10**6, or the constants."""
    theirs, found = np.asarray(theirs), np.asarray(found)
    if theirs.std() == 0:
        assert np.array_equal(theirs, found), path
    else:
        # Both have the same kurtosis, at most 3: the difference of the logarithms of two standard
        # deviations of n samples has at most the standard deviation 1 / sqrt(n).
        ratio = np.log(found.std() / theirs.std())
        assert abs(ratio) < 4.9 / np.sqrt(theirs.size), path


TREE = {
    "params": {
        "Dense_0": {"kernel": struct(24, 32), "bias": struct(32)},
        "layers": [{"kernel": struct(3, 3, 8, 16), "scale": struct(16, dtype="bfloat16")}],
        "Embed_0": {"embedding": struct(48, 8, dtype="bfloat16")},
        "attention": {
            "query": {"kernel": struct(16, 4, 8)},
            "key": {"kernel": struct(20, 4, 8)},
            "value": {"kernel": struct(20, 4, 8)},
            "out": {"kernel": struct(4, 8, 16)},
        },
    },
    "batch_stats": {"mean": struct(16), "var": struct(16)},
}


def test_defaults_and_seeds_by_path():
    made = fastinit.jax.initialize(TREE, seed=5)
    params = made["params"]

    def seed(path):
        return fastinit.derive_seed(5, path)

    assert_same_bits(
        params["Dense_0"]["kernel"],
        fastinit.lecun_normal((24, 32), seed=seed("params/Dense_0/kernel")),
    )
    assert_same_bits(
        params["layers"][0]["kernel"],
        fastinit.lecun_normal((3, 3, 8, 16), seed=seed("params/layers/0/kernel")),
    )
    assert_same_bits(
        params["Embed_0"]["embedding"],
        fastinit.random_normal(
            (48, 8), stddev=8**-0.5, seed=seed("params/Embed_0/embedding"), dtype="bfloat16"
        ),
    )
    assert_same_bits(
        params["attention"]["query"]["kernel"],
        fastinit.lecun_normal((16, 32), seed=seed("params/attention/query/kernel")).reshape(
            16, 4, 8
        ),
    )
    assert_same_bits(
        params["attention"]["out"]["kernel"],
        fastinit.lecun_normal((32, 16), seed=seed("params/attention/out/kernel")).reshape(4, 8, 16),
    )
    assert (params["Dense_0"]["bias"] == 0).all()
    assert (params["layers"][0]["scale"] == 1).all()
    assert (made["batch_stats"]["mean"] == 0).all()
    assert (made["batch_stats"]["var"] == 1).all()
    assert jax.tree.map(lambda a: (a.shape, a.dtype), made) == jax.tree.map(
        lambda a: (a.shape, a.dtype), TREE
    )


def test_the_defaults_are_those_of_flax():
    """The standard deviations, or the constants, are those of the layers' own initialization."""

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Embed(400, 512)(x)
            x = nn.Dense(256)(nn.LayerNorm()(x))
            x = nn.MultiHeadDotProductAttention(8)(x, x)
            x = nn.BatchNorm(use_running_average=False)(nn.Conv(256, (5,))(x))
            return nn.DenseGeneral((256,), axis=(-1,))(x)

    tokens = jnp.zeros((2, 3), int)
    own = Network().init(jax.random.key(0), tokens)
    ours = fastinit.jax.initialize(jax.eval_shape(Network().init, jax.random.key(0), tokens))
    for (path, theirs), found in zip(leaves(own), jax.tree.leaves(ours), strict=True):
        assert_same_deviation(found, theirs, path)


class Block(nn.Module):
    """A layer with kernels of one to three axes of inputs and outputs."""

    bias: bool = True

    @nn.compact
    def __call__(self, x, _):
        x = nn.MultiHeadDotProductAttention(4, use_bias=self.bias)(x, x)
        return nn.Dense(64, use_bias=self.bias)(x), None


def stacked_by_linen():
    stack = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=16)()
    return stack.init, (jax.random.key(0), jnp.ones((2, 3, 64)), None)


def stacked_by_nnx():
    return nnx.vmap(lambda rngs: nnx.Linear(64, 64, rngs=rngs)), (nnx.Rngs(0).split(16),)


@pytest.mark.parametrize("stacked", [stacked_by_linen, stacked_by_nnx])
def test_stacked_layers_need_rules(stacked):
    """Kernels of several layers in one array look like others, which have other scales."""
    init, arguments = stacked()
    if stacked is stacked_by_linen:
        abstract, own = jax.eval_shape(init, *arguments), init(*arguments)
    else:
        own = nnx.state(init(*arguments))
        abstract = nnx.eval_shape(lambda: init(nnx.Rngs(0).split(16)))
    with pytest.raises(ValueError, match=r"no default .*kernel, of shape \(16, 64, .*batch_axis=0"):
        fastinit.jax.initialize(abstract)
    rule = {
        "*/out/kernel": fastinit.jax.lecun_normal(in_axis=(1, 2), batch_axis=0),
        "*/Dense_0/kernel": fastinit.jax.lecun_normal(batch_axis=0),
        "kernel": fastinit.jax.lecun_normal(batch_axis=0),
        "*/kernel": fastinit.jax.lecun_normal(in_axis=1, out_axis=(2, 3), batch_axis=0),
        "*bias": 0,
    }
    paths = [name for name, _ in leaves(own)]
    used = {key: value for key, value in rule.items() if matches_any(paths, key)}
    ours = fastinit.jax.initialize(abstract, rule=used)
    for (path, theirs), found in zip(leaves(own), jax.tree.leaves(ours), strict=True):
        assert_same_deviation(found, theirs, path)


def test_only_kernels_that_can_be_told_have_a_default():
    def attention(**changed):
        shapes = {"query": (16, 4, 8), "key": (16, 4, 8), "value": (16, 4, 8), "out": (4, 8, 16)}
        return {"a": {name: {"kernel": struct(*at)} for name, at in {**shapes, **changed}.items()}}

    made = fastinit.jax.initialize(attention())
    for name, matrix in (("query", (16, 32)), ("out", (32, 16))):
        seed = fastinit.derive_seed(0, f"a/{name}/kernel")
        found = np.asarray(made["a"][name]["kernel"])
        assert_same_bits(found.reshape(matrix), fastinit.lecun_normal(matrix, seed=seed))
    biased = fastinit.jax.initialize({"conv": {"kernel": struct(3, 8, 16), "bias": struct(16)}})
    seed = fastinit.derive_seed(0, "conv/kernel")
    assert_same_bits(biased["conv"]["kernel"], fastinit.lecun_normal((3, 8, 16), seed=seed))
    unknown = [
        {"query": {"kernel": struct(16, 4, 8)}},  # of what?
        {"conv": {"kernel": struct(3, 8, 16)}},
        {"dense": {"kernel": struct(3, 8, 16), "bias": struct(3, 16)}},
        {"conv": {"kernel": struct(4, 3, 3, 8, 16), "bias": struct(4, 16)}},
        {"query": {"kernel": struct(5, 16, 4, 8)}},
        {"out": {"kernel": struct(5, 4, 8, 16)}},
        {"key": {"kernel": struct(3, 3, 5, 4, 8)}},
        {"kernel": struct(2, 3, 3, 3, 8, 16)},
        attention(out=(16, 8, 16)),
        attention(key=(3, 16, 32)),
        {"value": {"kernel": struct(3, 8, 16), "bias": struct(16)}, "b": {"kernel": struct(4)}},
    ]
    for tree in unknown:
        with pytest.raises(ValueError, match="no default is known for"):
            fastinit.jax.initialize(tree)


def test_other_parameters_do_not_matter():
    first = fastinit.jax.initialize({"a": {"kernel": struct(3, 4)}}, seed=2)
    more = {"Z": {"kernel": struct(4, 3)}, "a": {"bias": struct(4), "kernel": struct(3, 4)}}
    second = fastinit.jax.initialize(more, seed=2)
    assert_same_bits(second["a"]["kernel"], first["a"]["kernel"])
    other = fastinit.jax.initialize(more, seed=3)
    assert not (other["a"]["kernel"] == first["a"]["kernel"]).any()
    assert not (first["a"]["kernel"] == second["Z"]["kernel"].T).any()


def test_seeds():
    tree = {"kernel": struct(3, 4)}
    generator = fastinit.SeedGenerator(1)
    word = fastinit.SeedGenerator(1).next()
    made = fastinit.jax.initialize(tree, seed=generator)["kernel"]
    assert_same_bits(made, fastinit.jax.initialize(tree, seed=word)["kernel"])
    assert not (fastinit.jax.initialize(tree, seed=generator)["kernel"] == made).any()
    none = [fastinit.jax.initialize(tree, seed=None)["kernel"] for _ in range(2)]
    assert not (none[0] == none[1]).any()
    for seed, error in ((-1, ValueError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="seed must be"):
            fastinit.jax.initialize(tree, seed=seed)


def test_rules():
    tree = {"a": {"w": struct(6, 4), "b": struct(4)}, "c": {"w": struct(4, 6, dtype="bfloat16")}}
    he = fastinit.jax.he_normal()
    expected = fastinit.he_normal((6, 4), seed=fastinit.derive_seed(0, "a/w"))
    made = fastinit.jax.initialize(tree, rule={"*/b": 0.5, "a/*": he, "*": fastinit.jax.ones})
    assert_same_bits(made["a"]["w"], expected)
    assert (made["a"]["b"] == 0.5).all()
    assert (made["c"]["w"] == 1).all()
    assert made["c"]["w"].dtype == "bfloat16"

    matrices = {"a": {"w": struct(6, 4)}, "c": struct(5, 3)}
    made = fastinit.jax.initialize(matrices, rule=he)
    assert_same_bits(made["a"]["w"], expected)
    asked = []

    def choose(path, leaf):
        asked.append((path, leaf.shape))
        return he if path == "a/w" else fastinit.jax.zeros

    made = fastinit.jax.initialize(matrices, rule=choose)
    assert asked == [("a/w", (6, 4)), ("c", (5, 3))]
    assert_same_bits(made["a"]["w"], expected)
    assert (made["c"] == 0).all()


def test_numbers_of_rules():
    numbers = [3, 0.5, np.float32(0.5), np.int64(3), np.array(0.5), jnp.float32(3), jnp.bfloat16(3)]
    for number in numbers:
        made = fastinit.jax.initialize({"a": struct(3), "b": struct(2)}, rule={"a": 1, "*": number})
        assert (made["b"] == float(number)).all()
    for number in (True, np.True_, np.ones(3), jnp.array(True), np.array("a")):
        with pytest.raises(TypeError, match="the rule of 'b', unless it is a number"):
            fastinit.jax.initialize({"b": struct(3)}, rule={"b": number})


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float16", "complex64"])
@pytest.mark.parametrize("value", [2.7, -1, 2.0**40, np.nan, np.inf, 1 + 2j])
def test_constants_are_converted_as_by_jax(value, dtype):
    def outcome(make):
        try:
            return np.asarray(make()).tobytes()
        except Exception as error:
            return type(error)

    tree = {"a": struct(3, dtype=dtype)}
    rule = fastinit.jax.constant(value)
    expected = outcome(lambda: jax.nn.initializers.constant(value)(None, (3,), dtype))
    assert outcome(lambda: fastinit.jax.initialize(tree, rule=rule)["a"]) == expected


def test_a_key_is_a_seed():
    tree = {"kernel": struct(3, 4)}
    expected = fastinit.jax.initialize(tree, seed=5)["kernel"]
    for key in (jax.random.key(5), jax.random.PRNGKey(5)):
        assert_same_bits(fastinit.jax.initialize(tree, seed=key)["kernel"], expected)
    split = jax.random.split(jax.random.key(5))
    assert not (fastinit.jax.initialize(tree, seed=split[0])["kernel"] == expected).any()
    with pytest.raises(ValueError, match="initialize takes a single key"):
        fastinit.jax.initialize(tree, seed=split)


def test_it_makes_nothing_inside_of_jit():
    for run in (jax.jit, lambda f: lambda: jax.eval_shape(f)):
        with pytest.raises(RuntimeError, match=r"fastinit.jax.initialize cannot be called inside"):
            run(lambda: fastinit.jax.initialize({"kernel": struct(3, 4)}))()


def test_partition_specs_are_no_shardings():
    state = nnx.state(nnx.eval_shape(lambda: nnx.Linear(3, 4, rngs=nnx.Rngs(0))))
    with pytest.raises(TypeError, match=r"received P.*get_named_sharding"):
        fastinit.jax.initialize(state, nnx.get_partition_spec(state))


@jax.tree_util.register_dataclass
@dataclass
class Three:
    query: object
    key: object
    value: object


def test_only_boxes_of_flax_have_no_name_of_their_value():
    tree = {
        "a": Three(struct(2), nnx.Param(nn.Partitioned(struct(3), ("x",))), struct(4)),
        "b": nn.Partitioned(Three(struct(2), struct(3), struct(4)), ("x",)),
    }
    seen = []

    def rule(path, leaf):
        seen.append((path, leaf.shape[0]))
        return fastinit.jax.ones

    made = fastinit.jax.initialize(tree, rule=rule)
    assert jax.tree.structure(made) == jax.tree.structure(tree)
    paths = [f"{name}/{part}" for name in "ab" for part in ("query", "key", "value")]
    assert seen == list(zip(paths, [2, 3, 4, 2, 3, 4], strict=True))


def test_foreign_initializers():
    """They get a key of the leaf's seed."""
    tree = {"a": struct(6, 4), "b": struct(4, 5, dtype="bfloat16"), "n": struct(3, dtype="int32")}
    theirs = jax.nn.initializers.he_normal()

    def counter(key, shape, dtype):
        return jnp.arange(shape[0], dtype=dtype)

    made = fastinit.jax.initialize(tree, rule={"n": counter, "*": theirs})
    for name in "ab":
        seed = fastinit.derive_seed(0, name)
        key = jax.random.wrap_key_data(np.array([seed >> 32, seed % 2**32], np.uint32))
        expected = jax.jit(lambda key, name=name: theirs(key, tree[name].shape, tree[name].dtype))
        assert_same_bits(made[name], expected(key))
    assert made["n"].tolist() == [0, 1, 2]
    assert made["n"].dtype == "int32"


def test_an_initializer_need_not_be_hashable():
    @dataclass
    class Plain:
        value: float

        def __call__(self, key, shape, dtype):
            return jnp.full(shape, self.value, dtype)

    made = fastinit.jax.initialize(
        TREE["params"]["Dense_0"], rule={"bias": Plain(2), "*": Plain(3)}
    )
    assert (made["bias"] == 2).all()
    assert (made["kernel"] == 3).all()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: jnp.zeros((3, 2)), r"must return .*\(2, 3\) and dtype float32 .*\(3, 2\)"),
        (lambda: jnp.zeros((2, 3), "bfloat16"), r"must return .* float32 .* bfloat16"),
        (lambda: jnp.zeros((2, 1)), r"must return .*\(2, 1\)"),
        (lambda: nn.Partitioned(jnp.zeros((2, 3)), ("x", None)), "must return an array, .*Partiti"),
        (lambda: fastinit.jax.he_normal, r"must return an array, .*he_normal\(\)"),
        (lambda: None, "must return an array, .*NoneType"),
    ],
)
def test_what_an_initializer_returns_is_checked_before_anything_is_made(made, message):
    tree = {"a": struct(6, 4), "b": struct(2, 3)}
    run = []

    def first(key, shape, dtype):
        jax.debug.callback(run.append, 0)
        return jnp.zeros(shape, dtype)

    rule = {"a": first, "b": lambda key, shape, dtype: made()}
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        fastinit.jax.initialize(tree, rule=rule)
    assert "This is the initializer of b" in caught.value.__notes__[-1]
    jax.effects_barrier()
    assert not run


def test_what_is_taken_for_an_initializer_by_mistake():
    """Functions that three arguments fit are called with a key, a shape and a dtype."""
    he = fastinit.jax.he_normal()
    for rule in (
        fastinit.jax.he_normal,
        jax.nn.initializers.orthogonal,
        lambda path, struct, scale=0.02: he,
        lambda *arguments: he,
    ):
        with pytest.raises(TypeError, match=r"must return an array, .*he_normal.*two arguments"):
            fastinit.jax.initialize({"w": struct(3, 4)}, rule=rule)

    def rule(path, struct, scale=0.02):
        return he if path.endswith("w") else None

    with pytest.raises(AttributeError) as caught:
        fastinit.jax.initialize({"w": struct(3, 4)}, rule=rule)
    assert "called with a key, a shape and a dtype" in caught.value.__notes__[-1]


class Model(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(12, 32, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(32, 32, rngs=rngs) for _ in range(2)])
        self.norm = nnx.BatchNorm(32, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)


def test_nnx():
    abstract = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    graph, params, _ = nnx.split(abstract, (nnx.Param, nnx.BatchStat), ...)
    made = fastinit.jax.initialize(params, seed=1)
    rngs = nnx.state(Model(nnx.Rngs(0)), nnx.RngState)
    model = nnx.merge(graph, made, rngs)
    seed = fastinit.derive_seed(1, "layers/1/kernel")
    assert_same_bits(model.layers[1].kernel[...], fastinit.lecun_normal((32, 32), seed=seed))
    assert (model.norm.scale[...] == 1).all()
    assert model.dropout(model.layers[1](model.first(jnp.ones((3, 12))))).shape == (3, 32)
    with pytest.raises(ValueError, match=r"no default is known for dropout/rngs/count, .* uint32"):
        fastinit.jax.initialize(nnx.state(abstract))
    with pytest.raises(ValueError, match=r"dropout/rngs/key has dtype key<fry>, which .* cannot"):
        fastinit.jax.initialize(nnx.state(abstract, nnx.RngKey), rule=fastinit.jax.constant(1))
    # A module is a tree, too, and a rule may cover its counters and keys.
    rules = {
        "*/count": 0,
        "*/key": lambda key, shape, dtype: key,
        "*/kernel": fastinit.jax.lecun_normal(),
        "*": 1,
    }
    whole = fastinit.jax.initialize(abstract, seed=1, rule=rules)
    assert_same_bits(whole.layers[1].kernel[...], model.layers[1].kernel[...])
    assert whole.dropout.rngs.count[...] == 0
    assert jnp.issubdtype(whole.dropout.rngs.key[...].dtype, jax.dtypes.prng_key)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (({"gamma": struct(3)},), ValueError, r"no default is known for gamma, of shape \(3,\)"),
        (({"kernel": struct(3)},), ValueError, "no default is known for kernel"),
        (({"step": struct(dtype="int32")},), ValueError, "no default is known for step.* int32"),
        (({"bias": struct(3, dtype="int32")},), ValueError, "no default is known for bias"),
        (({"a": 3},), TypeError, "abstract must be a tree of .*, received int at 'a'"),
        (({"a/b": struct(3), "a": {"b": struct(3)}},), ValueError, "two leaves .* the path 'a/b'"),
        (
            ({"bias": struct(3)}, "x"),
            TypeError,
            "shardings must be a tree of jax.sharding.Sharding",
        ),
        (({"bias": struct(3)}, {"kernel": None}), ValueError, "pytree structure error"),
        (({"bias": struct(3)}, None, 0, 3), TypeError, "rule must be an initializer, .*received 3"),
        (({"bias": struct(3)}, None, 0, {"*": "x"}), TypeError, "the rule of '\\*', unless it is"),
        (
            ({"bias": struct(3)}, None, 0, {"*": True}),
            TypeError,
            "the rule of '\\*', unless it is a number,",
        ),
        (({"bias": struct(3)}, None, 0, {3: 0}), TypeError, "the patterns of rule must be strings"),
        (
            ({"a": {"b": struct(3)}}, None, 0, {"b": 0}),
            ValueError,
            "no pattern of rule matches a/b",
        ),
        (({"b": struct(3)}, None, 0, lambda p, s: 3), TypeError, "what rule returns for b must be"),
        (({"b": struct(3)}, None, 0, lambda: 3), TypeError, "positional argument"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        fastinit.jax.initialize(*arguments)


def test_an_error_of_an_initializer_names_the_parameter():
    for tree in ({"a": {"w": struct(3)}}, {"a": {"w": struct(3, 4, dtype="int32")}}):
        with pytest.raises(ValueError, match=r"shape must|dtype of") as caught:
            fastinit.jax.initialize(tree, rule=fastinit.jax.he_normal())
        assert "This is the initializer of a/w" in caught.value.__notes__[-1]

    def fails(key, shape, dtype):
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost") as caught:
        fastinit.jax.initialize({"a": {"w": struct(3)}}, rule=fails)
    assert "This is the initializer of a/w" in caught.value.__notes__[-1]


def test_an_unused_pattern_warns():
    tree = {"bias": struct(3)}
    with pytest.warns(
        UserWarning, match="the pattern 'kernel' of rule matches no parameter"
    ) as seen:
        fastinit.jax.initialize(tree, rule={"kernel": 1, "*": 0})
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="the pattern 'bias' of rule is never reached"):
        fastinit.jax.initialize(tree, rule={"*": 0, "bias": 1})


TREE_AND_RULE = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import fastinit, fastinit.jax

def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, dtype)

tree = {"a": {"w": struct(64, 32), "b": struct(32, dtype="bfloat16")},
        "m": struct(16, 8, 8), "c": struct(32, 16, dtype="complex64"),
        "t": struct(48, 16, dtype="float8_e5m2"), "k": struct(32)}
rule = {"a/w": fastinit.jax.he_normal(), "a/b": fastinit.jax.truncated_normal(lower=-1),
        "m": fastinit.jax.orthogonal(column_axis=1),
        "c": fastinit.jax.he_uniform(in_axis=1, out_axis=0),
        "t": fastinit.jax.normal(1.0), "k": 0.25}

def digest(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]
"""
# The sizes of what is made go to one list, and the shapes of matrices to another.
COUNTED = """
from fastinit._lazy import LazyArray
from fastinit.jax import _orthogonal

made, matrices = [], []
fill, make_matrix = LazyArray._fill, _orthogonal.Matrix.whole
def counting(self, array, selection):
    made.append(array.size)
    fill(self, array, selection)
def counting_matrices(self, seed):
    matrices.append(self.shape)
    return make_matrix(self, seed)
LazyArray._fill, _orthogonal.Matrix.whole = counting, counting_matrices
"""


def test_eight_devices_each_make_their_own_shard():
    code = (
        TREE_AND_RULE
        + COUNTED
        + """
expected = digest(fastinit.jax.initialize(tree, rule=rule))
sizes = [leaf.size for leaf in jax.tree.leaves(tree)]
mesh = jax.make_mesh((4, 2), ("x", "y"))
one = jax.make_mesh((8,), ("z",))

def named(*spec, mesh=mesh):
    return NamedSharding(mesh, P(*spec))

cases = {
    "rows": named("x"),
    "columns": {"a": {"w": named(None, "y"), "b": named("y")}, "m": named(None, "x", "y"),
                "c": named("x", "y"), "t": named("y", "x"), "k": None},
    "both": {"a": named(("x", "y")), "m": named(("y", "x")), "c": named(None, ("x", "y")),
             "t": named(("y", "x")), "k": named("y")},
    "eight": named("z", mesh=one),
    "copies": named(),
    "one device": jax.sharding.SingleDeviceSharding(jax.devices()[3]),
}
for name, shardings in cases.items():
    made.clear(), matrices.clear()
    found = fastinit.jax.initialize(tree, shardings, rule=rule)
    assert digest(found) == expected, name
    assert matrices == [(16, 8, 8)], name
    whole = jax.tree.broadcast(shardings, tree, is_leaf=lambda x: x is None)
    for leaf, sharding in zip(jax.tree.leaves(found),
                              jax.tree.leaves(whole, is_leaf=lambda x: x is None)):
        assert sharding is None or leaf.sharding.is_equivalent_to(sharding, leaf.ndim), name
    # Every element of every leaf but the matrix is made once, in parts where it is sharded.
    assert sum(made) == sum(sizes) - 16 * 8 * 8, (name, made)
    if name in ("both", "eight"):
        assert max(made) <= max(sizes) // 8, (name, made)

structs = jax.tree.map(lambda s: struct(*s.shape, dtype=s.dtype), tree)
structs["a"]["w"] = jax.ShapeDtypeStruct((64, 32), "float32", sharding=named("x", "y"))
found = fastinit.jax.initialize(structs, rule=rule)
assert digest(found) == expected
assert found["a"]["w"].sharding == named("x", "y")
assert found["k"].sharding.device_set == {jax.devices()[0]}

theirs = jax.nn.initializers.normal()
floats = {"w": struct(64, 32), "v": struct(64, 32)}
first = fastinit.jax.initialize(floats, rule=theirs)
second = fastinit.jax.initialize(floats, named("x", "y"), rule=theirs)
assert digest(first) == digest(second)
assert second["w"].sharding == named("x", "y")
print("done")
"""
    )
    assert run_python(code, timeout=200, **EIGHT) == "done"


@pytest.mark.parametrize("way", ["in place", "by copy"])
def test_out_sharding_lets_each_device_make_its_own_shard(way):
    """Callbacks return arrays, as on GPUs and TPUs, or write into JAX's memory, as on CPUs."""
    code = (
        TREE_AND_RULE
        + COUNTED
        + """
import sys
from jax.sharding import AxisType
from fastinit.jax import _placement

by_copy = sys.argv[1] == "by copy"
if by_copy:
    _placement.buffer_callback = None
key = jax.random.key(7)
init = fastinit.jax.he_normal()
expected = np.asarray(init(key, (64, 32))).tobytes()
complexes = np.asarray(init(key, (64, 32), "complex64")).tobytes()

def check(array, sharding, sizes, same=expected):
    array.block_until_ready()
    assert np.asarray(array).tobytes() == same
    assert array.sharding.is_equivalent_to(sharding, 2), array.sharding
    assert sorted(made) == sizes, made
    made.clear()

for kind in (AxisType.Explicit, AxisType.Auto):
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(kind, kind))
    for spec, count in ((P("x", "y"), 8), (P(("y", "x")), 8), (P(None, "x"), 4), (P("y", None), 2)):
        sharding = NamedSharding(mesh, spec)
        made.clear()
        check(init(key, (64, 32), out_sharding=sharding), sharding, [2048 // count] * count)
        draw = jax.jit(lambda key: init(key, (64, 32), out_sharding=sharding))
        check(draw(key), sharding, [2048 // count] * 8)
        with jax.set_mesh(mesh):
            check(init(key, (64, 32), out_sharding=spec), sharding, [2048 // count] * count)
            draw = jax.jit(lambda key: init(key, (64, 32), out_sharding=spec))
            check(draw(key), sharding, [2048 // count] * 8)
    with jax.set_mesh(mesh):
        # JAX cannot read the sharding of the own result of a callback that one device makes.
        draw = jax.jit(lambda key: init(key, (64, 32)))
        check(draw(key), NamedSharding(mesh, P()), [2048] * (1 if by_copy else 8))
        sharding = NamedSharding(mesh, P("x", "y"))
        many = jax.jit(jax.vmap(lambda key: init(key, (64, 32), out_sharding=P("x", "y"))))
        keys = jax.random.split(key, 3)
        found = many(keys).block_until_ready()
        assert sorted(made) == [256] * 24
        made.clear()
        for array, one in zip(found, keys):
            assert np.array_equal(array, init(one, (64, 32)))
        made.clear()
        found = jax.jit(lambda key: init(key, (64, 32), "complex64", out_sharding=P("x", "y")))(key)
        assert np.asarray(found).tobytes() == complexes
        for error in (init, jax.jit(init, static_argnums=1, static_argnames="out_sharding")):
            try:
                error(key, (63, 32), out_sharding=P("x"))
            except ValueError as caught:
                assert "63" in str(caught)
            else:
                raise AssertionError
    made.clear()
    sharding = NamedSharding(mesh, P("x", "y"))
    constant = fastinit.jax.constant(2)(key, (64, 32), out_sharding=sharding)
    assert constant.sharding == sharding
    assert fastinit.jax.constant(2).values((64, 32), "float32").parts(0)[3, 4] == 2

# Each device has a key and makes an array of its own.
keys = jax.random.split(key, 8)
mesh = jax.make_mesh((8,), ("z",), axis_types=(AxisType.Auto,))
for check_vma in (False, True):
    body = jax.shard_map(lambda keys: init(keys[0], (3, 4))[None], mesh=mesh, in_specs=P("z"),
                         out_specs=P("z"), check_vma=check_vma)
    for run in (body, jax.jit(body), jax.pmap(lambda key: init(key, (3, 4)))):
        for array, one in zip(run(keys), keys, strict=True):
            assert np.array_equal(array, init(one, (3, 4)))
print("done")
"""
    )
    printed = run_python(code, way, timeout=200, **EIGHT)
    assert printed.splitlines()[-1] == "done"


@pytest.mark.parametrize("way", ["in place", "by copy"])
def test_values_in_shard_map(way):
    """What a device makes of its own key varies over the devices, for derivatives and checks."""
    code = """
import sys
import jax, jax.numpy as jnp, numpy as np, fastinit.jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from fastinit.jax import _placement

if sys.argv[1] == "by copy":
    _placement.buffer_callback = None
init = fastinit.jax.normal(1.0)
mesh = jax.make_mesh((8,), ("z",), axis_types=(AxisType.Auto,))
keys = jax.random.split(jax.random.key(7), 8)
expected = np.stack([init(key, (3,)) for key in keys])

def mapped(f, inputs, outputs):
    return jax.jit(jax.shard_map(f, mesh=mesh, in_specs=inputs, out_specs=outputs))

def gradient(keys, x):
    return jax.grad(lambda x: (x * init(keys[0], (3,))).sum())(x)

total = mapped(gradient, (P("z"), P()), P())(keys, 1.0)
np.testing.assert_allclose(total, expected.sum(), rtol=1e-5)
total = mapped(lambda keys: jax.lax.psum(init(keys[0], (3,)), "z"), P("z"), P())(keys)
np.testing.assert_allclose(total, expected.sum(0), rtol=1e-5)
try:
    mapped(lambda keys: init(keys[0], (3,)), P("z"), P())(keys)
except ValueError as error:
    assert "replicat" in str(error) or "varying" in str(error), error
else:
    raise AssertionError("results that differ pass for copies")
assert (mapped(lambda key: init(key, (3,)), P(), P())(keys[2]) == expected[2]).all()

def carried(keys):
    start = jax.lax.pcast(jnp.zeros(3), "z", to="varying")
    return jax.lax.scan(lambda _, key: (init(key, (3,)), None), start, keys)[0]

assert (mapped(carried, P("z"), P("z"))(keys).reshape(8, 3) == expected).all()
both = mapped(lambda keys: jax.vmap(lambda key: init(key, (3,)))(keys), P("z"), P("z"))
assert (both(keys) == expected).all()

# No device can make a shard of the whole where it is one program's for several devices.
mesh = jax.make_mesh((4, 2), ("x", "y"))
with jax.set_mesh(mesh):
    def body(key):
        return init(key, (4, 4), out_sharding=P("y"))[None]
    for names in ({"x"}, {"x", "y"}):
        try:
            jax.jit(jax.shard_map(body, in_specs=P(), out_specs=P("x"), axis_names=names,
                                  check_vma=False))(keys[0])
        except NotImplementedError as error:
            assert "out_sharding of normal cannot be given inside of shard_map" in str(error)
        else:
            raise AssertionError
    copies = jax.jit(jax.shard_map(lambda key: init(key, (4, 4), out_sharding=P(None)),
                                   in_specs=P(), out_specs=P()))
    assert (copies(keys[0]) == init(keys[0], (4, 4))).all()
print("done")
"""
    assert run_python(code, way, timeout=200, **EIGHT) == "done"


def test_meshes_that_are_set():
    """As those of JAX, values are copied to all devices, or sharded by out_sharding."""
    code = """
import jax, jax.numpy as jnp, numpy as np, fastinit.jax
import flax.linen as nn
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P, SingleDeviceSharding

init, key = fastinit.jax.he_normal(), jax.random.key(7)
expected = np.asarray(init(key, (8, 16)))
own = jax.nn.initializers.he_normal()
for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(kind, kind))
    with jax.set_mesh(mesh):
        for keyed in (key, jax.random.key(7)):
            made = init(keyed, (8, 16))
            assert made.sharding == NamedSharding(mesh, P())
            assert made.sharding.is_equivalent_to(own(keyed, (8, 16)).sharding, 2)
            assert (made == expected).all()
        for spec in (None, P("x")):
            product = jax.grad(lambda x: (x * init(key, (8, 16), out_sharding=spec)).sum())(2.0)
            np.testing.assert_allclose(product, expected.sum(), rtol=1e-5)
        cut = jax.device_put(made, P("x"))
        assert cut.sharding.spec == P("x")
        if kind is AxisType.Auto:
            made = jax.lax.with_sharding_constraint(init(key, (8, 16)), P("x"))
            assert made.sharding.spec == P("x")
        linear = nnx.Linear(8, 16, rngs=nnx.Rngs(0),
                            kernel_init=nnx.with_partitioning(init, ("x", "y")))
        assert linear.kernel[...].sharding == NamedSharding(mesh, P("x", "y"))

        # The shapes carry abstract meshes.
        for abstract in (
            jax.eval_shape(nn.Dense(4).init, key, jnp.ones((2, 8))),
            nnx.state(nnx.eval_shape(lambda: nnx.Linear(8, 4, rngs=nnx.Rngs(0)))),
        ):
            made = fastinit.jax.initialize(abstract)
            for leaf in jax.tree.leaves(made):
                assert leaf.sharding.is_equivalent_to(NamedSharding(mesh, P()), leaf.ndim)
            theirs = fastinit.jax.initialize(abstract, rule=jax.nn.initializers.normal())
            for leaf in jax.tree.leaves(theirs):
                assert leaf.sharding.is_equivalent_to(NamedSharding(mesh, P()), leaf.ndim)
        sharded = NamedSharding(mesh.abstract_mesh, P("x", "y"))
        structs = {"kernel": jax.ShapeDtypeStruct((8, 16), "float32", sharding=sharded)}
        made = fastinit.jax.initialize(structs)["kernel"]
        assert made.sharding == NamedSharding(mesh, P("x", "y"))
    assert (made == fastinit.jax.initialize({"kernel": made})["kernel"]).all()
    try:
        fastinit.jax.initialize(structs)
    except ValueError as error:
        assert "jax.set_mesh" in str(error)
    else:
        raise AssertionError
    try:
        init(key, (8, 16), out_sharding=sharded)
    except ValueError as error:
        assert "jax.set_mesh" in str(error)
    else:
        raise AssertionError

# Keys that are sharded on one axis, and results on another.
with jax.set_mesh(mesh):
    keys = jax.device_put(jax.random.split(key, 8), P("x"))
    found = jax.jit(jax.vmap(lambda key: init(key, (4, 6), out_sharding=P("y"))))(keys)
    assert found.sharding.spec[1] == "y", found.sharding
    for array, one in zip(found, jax.random.split(key, 8)):
        assert (np.asarray(array) == np.asarray(init(one, (4, 6)))).all()

# A committed key takes the values to its device.
fourth = jax.devices()[3]
for device in (fourth, NamedSharding(mesh, P())):
    committed = jax.device_put(key, device)
    for shape in ((), (8, 16)):
        made, theirs = (
            module.normal()(committed, shape) for module in (fastinit.jax, jax.nn.initializers)
        )
        assert made.sharding.is_equivalent_to(theirs.sharding, len(shape)), device
        assert made.committed
assert not init(key, (8, 16)).committed
with jax.default_device(fourth):
    made = init(key, (8, 16))
    assert made.devices() == {fourth}
    assert not made.committed

# The kind of memory is that of the sharding.
for kind in ("device", "pinned_host"):
    sharding = NamedSharding(mesh, P("x", "y"), memory_kind=kind)
    for run in (init, jax.jit(init, static_argnums=1, static_argnames="out_sharding")):
        made = run(key, (8, 16), out_sharding=sharding)
        assert made.sharding.memory_kind == kind, (run, made.sharding)
        assert (np.asarray(made) == expected).all()
print("done")
"""
    assert run_python(code, timeout=200, **EIGHT) == "done"


def test_boxes_of_linen_and_their_shardings():
    code = """
import flax.linen as nn, jax, jax.numpy as jnp, numpy as np, fastinit.jax

class Network(nn.Module):
    names: bool
    @nn.compact
    def __call__(self, x):
        init = nn.initializers.lecun_normal()
        if self.names:
            init = nn.with_partitioning(init, ("x", "y"))
        return nn.Dense(32, kernel_init=init)(nn.Dense(16)(x))

plain, boxed = (
    jax.eval_shape(Network(names).init, jax.random.key(0), jnp.ones((2, 8))) for names in (0, 1)
)
mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
expected = fastinit.jax.initialize(plain)
found = fastinit.jax.initialize(boxed, nn.get_sharding(boxed, mesh))
kernel = found["params"]["Dense_0"]["kernel"]
assert isinstance(kernel, nn.Partitioned)
assert kernel.value.sharding.spec == jax.sharding.PartitionSpec("x", "y")
assert jax.tree.all(jax.tree.map(np.array_equal, nn.unbox(found), expected))
print("done")
"""
    assert run_python(code, timeout=100, **EIGHT) == "done"


WORKER = (
    TREE_AND_RULE
    + COUNTED
    + """
import json, sys
port, rank = sys.argv[1:]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(rank))
mesh = jax.make_mesh((2, 2), ("x", "y"))
assert len(jax.local_devices()) == 2
sharding = NamedSharding(mesh, P("x", "y"))
shardings = {"a": {"w": sharding, "b": NamedSharding(mesh, P("y"))}, "m": sharding, "c": sharding,
             "t": NamedSharding(mesh, P("x")), "k": NamedSharding(mesh, P("x"))}
found = fastinit.jax.initialize(tree, shardings, rule=rule)
assert max(made) <= 2048 // 4, made
try:
    fastinit.jax.initialize(tree, shardings, seed=None, rule=rule)
except ValueError as error:
    assert "several processes" in str(error)
else:
    raise AssertionError
foreign = fastinit.jax.initialize({"w": struct(64, 32)}, sharding,
                                  rule=jax.nn.initializers.he_normal())
draw = jax.jit(lambda key: fastinit.jax.he_normal()(key, (64, 32), out_sharding=sharding))
made.clear()
drawn = draw(jax.random.key(7)).block_until_ready()
assert sorted(made) == [512, 512], made
for leaf in [*jax.tree.leaves(found), drawn, foreign["w"]]:
    print(json.dumps([
        [[part.indices(size)[:2] for part, size in zip(shard.index, leaf.shape)],
         np.asarray(shard.data).tobytes().hex()]
        for shard in leaf.addressable_shards
    ]))
"""
)


def test_two_processes_each_make_their_own_shards():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    two = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    with ThreadPoolExecutor(2) as pool:
        printed = [
            done.result().splitlines()
            for done in [
                pool.submit(run_python, WORKER, port, rank, timeout=200, **two) for rank in (0, 1)
            ]
        ]
    names = {}
    exec(TREE_AND_RULE, names)
    expected = jax.tree.leaves(fastinit.jax.initialize(names["tree"], rule=names["rule"]))
    expected.append(fastinit.jax.he_normal()(jax.random.key(7), (64, 32)))
    theirs = jax.nn.initializers.he_normal()
    expected.append(fastinit.jax.initialize({"w": struct(64, 32)}, rule=theirs)["w"])
    assert len(printed[0]) == len(printed[1]) == len(expected)
    for number, whole in enumerate(map(np.asarray, expected)):
        covered = np.zeros(whole.shape, int)
        for lines in printed:
            for index, data in json.loads(lines[number]):
                cut = tuple(slice(*bounds) for bounds in index)
                assert whole[cut].tobytes().hex() == data
                covered[cut] += 1
        assert covered.min() >= 1
