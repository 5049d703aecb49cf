"""The initializers of fastinit.jax: JAX's rules, fastinit's values, all transformations of JAX.

Where a test compares distributions, its threshold makes a false alarm once in 10^6 seeds.
"""

import copy
import inspect
import itertools
import pickle
import sys
from hashlib import blake2b
from types import SimpleNamespace
from unittest import mock

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from fills import assert_same_bits
from processes import run_python
from scipy import stats

import fastinit
import fastinit.jax
from fastinit.jax import _placement

pytestmark = [pytest.mark.integration]
THEIRS = jax.nn.initializers
NAMES = [name for name in dir(THEIRS) if not name.startswith("_")]
FALSE_ALARM = 1e-6
KEY = jax.random.key(7)


@pytest.fixture
def made(monkeypatch):
    """Return a list of the shapes that callbacks of JAX have made."""
    shapes = []
    fill = _placement._fill

    def counting(values, words, cut, out):
        shapes.append(out.shape)
        fill(values, words, cut, out)

    monkeypatch.setattr(_placement, "_fill", counting)
    return shapes


@pytest.fixture(params=["in place", "by copy"])
def way(request, monkeypatch):
    """Let callbacks write into JAX's memory, or return arrays as those of GPUs and TPUs do."""
    if request.param == "by copy":
        monkeypatch.setattr(_placement, "buffer_callback", None)
    return request.param


def test_all_names_of_jax_are_here():
    assert set(NAMES) | {"initialize"} == set(fastinit.jax.__all__)
    assert fastinit.jax.Initializer is THEIRS.Initializer


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Initializer"])
def test_the_arguments_are_those_of_jax(name):
    ours, theirs = (
        [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
        for function in (getattr(fastinit.jax, name), getattr(THEIRS, name))
    )
    assert ours == theirs


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("Initializer", "zeros", "ones")]
)
def test_what_a_function_returns_has_the_protocol(name):
    def make(module):
        function = getattr(module, name)
        return function(
            *{"constant": [2], "variance_scaling": [1, "fan_in", "normal"]}.get(name, [])
        )

    ours, theirs = make(fastinit.jax), make(THEIRS)
    assert isinstance(ours, THEIRS.Initializer)
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    assert ours(KEY, (3, 4, 5)).dtype == theirs(KEY, (3, 4, 5)).dtype
    again = pickle.loads(pickle.dumps(ours))
    assert_same_bits(again(KEY, (3, 4, 5)), ours(KEY, (3, 4, 5)))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "name",
    [f"{who}_{how}" for who in ("he", "glorot", "lecun") for how in ("normal", "uniform")],
)
def test_the_values_are_those_of_fastinit(name, dtype):
    found = getattr(fastinit.jax, name)()(KEY, (3, 40, 50), dtype)
    assert isinstance(found, jax.Array)
    assert_same_bits(found, getattr(fastinit, name)((3, 40, 50), seed=7, dtype=dtype))


def test_the_values_of_the_plain_distributions():
    shape = (40, 50)
    made = fastinit.jax.uniform(3.0)(KEY, shape)
    assert_same_bits(made, fastinit.random_uniform(shape, 0.0, 3.0, seed=7))
    made = fastinit.jax.uniform(-3.0)(KEY, shape)
    assert_same_bits(made, fastinit.random_uniform(shape, -3.0, 0.0, seed=7))
    for stddev in (3.0, -3.0, jnp.float32(3)):
        made = fastinit.jax.normal(stddev)(KEY, shape)
        assert_same_bits(made, fastinit.random_normal(shape, stddev=3.0, seed=7))
    made = fastinit.jax.truncated_normal(3.0, lower=-0.5, upper=np.inf)(KEY, shape)
    expected = fastinit.truncated_normal(shape, stddev=3.0, seed=7, lower=-0.5, upper=np.inf)
    assert_same_bits(made, expected)
    made = fastinit.jax.truncated_normal(-3.0, lower=-0.5, upper=1.0)(KEY, shape)
    expected = fastinit.truncated_normal(shape, stddev=3.0, seed=7, lower=-1.0, upper=0.5)
    assert_same_bits(made, expected)
    assert made.min() >= -3
    assert made.max() <= 1.5


def test_constants_are_those_of_jax():
    three = np.array([1, 2, 3])
    for dtype in (None, "bfloat16", "int32", "complex64", bool):
        for ours, theirs in (
            (fastinit.jax.zeros, THEIRS.zeros),
            (fastinit.jax.ones, THEIRS.ones),
            (fastinit.jax.constant(2.7), THEIRS.constant(2.7)),
            (fastinit.jax.constant(three), THEIRS.constant(three)),
            (fastinit.jax.constant(2.7, "float16"), THEIRS.constant(2.7, "float16")),
        ):
            found, expected = ours(KEY, (2, 3), dtype), theirs(KEY, (2, 3), dtype)
            assert found.dtype == expected.dtype
            assert jnp.array_equal(found, expected)
    assert fastinit.jax.constant(2, "float16")(KEY, (3,)).dtype == "float16"


SHAPES_AND_AXES = [
    ((30, 50), {}),
    ((3, 5, 8, 12), {}),
    ((30, 50), {"in_axis": 1, "out_axis": 0}),
    ((30,), {"in_axis": 0}),
    ((30,), {"in_axis": (), "out_axis": ()}),
    ((6, 8, 10), {"in_axis": 0, "out_axis": (1, 2)}),
    ((6, 8, 10), {"in_axis": (0, 1), "out_axis": [-1]}),
    ((6, 8, 10), {"batch_axis": 0}),
    ((2, 3, 8, 10), {"batch_axis": (0, 1)}),
    ((2, 3, 8, 10), {"in_axis": [1, 2], "out_axis": 3, "batch_axis": [0]}),
]


def factors(distribution, theirs, ours, shape):
    """Return what JAX and we multiply samples by; JAX draws ones here, which need no compiling."""

    def ones(*_, **__):
        return jnp.ones(())

    samplers = SimpleNamespace(normal=ones, uniform=ones, truncated_normal=ones)
    with mock.patch.dict(THEIRS.variance_scaling.__globals__, random=samplers):
        expected = float(theirs(KEY, shape, "float32"))
    unit = {
        "normal": fastinit.random_normal(shape, stddev=1.0, seed=7),
        "uniform": fastinit.random_uniform(shape, -1.0, 1.0, seed=7),
        "truncated_normal": fastinit.truncated_normal(shape, stddev=1.0, seed=7),
    }[distribution]
    at = np.unravel_index(np.abs(unit).argmax(), shape)
    return expected, float(ours(KEY, shape, "float32")[at]) / float(unit[at])


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
def test_the_scale_follows_from_the_axes_as_in_jax(mode, distribution):
    for shape, axes in SHAPES_AND_AXES:
        theirs = THEIRS.variance_scaling(1.7, mode, distribution, **axes)
        ours = fastinit.jax.variance_scaling(1.7, mode, distribution, **axes)
        expected, found = factors(distribution, theirs, ours, shape)
        assert found == pytest.approx(expected, rel=2e-6), (shape, axes)


@pytest.mark.parametrize(
    "name",
    [
        f"{who}_{how}"
        for who in ("he", "kaiming", "glorot", "xavier", "lecun")
        for how in ("normal", "uniform")
    ],
)
def test_presets_pass_their_axes_and_dtype_on(name):
    shape = (6, 8, 10)
    given = (0, (1,), (2,), "bfloat16")
    ours, theirs = getattr(fastinit.jax, name)(*given), getattr(THEIRS, name)(*given)
    distribution = "uniform" if name.endswith("uniform") else "truncated_normal"
    expected, found = factors(distribution, theirs, ours, shape)
    assert found == pytest.approx(expected, rel=2e-6)
    assert ours(KEY, shape).dtype == "bfloat16"
    expected = jax.eval_shape(lambda: theirs(KEY, shape, None))
    assert ours(KEY, shape, None).dtype == expected.dtype == "float32"


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 700, 600), (1, 1 << 21)])
def test_float8_is_float32_rounded_once(dtype, shape):
    """The shapes take several blocks, and blocks that start inside a row."""
    made = fastinit.jax.normal(0.5)(KEY, shape, dtype)
    expected = fastinit.random_normal(shape, stddev=0.5, seed=7)
    assert_same_bits(made, expected.astype(getattr(ml_dtypes, dtype)))


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz"])
def test_float8_keeps_within_the_bounds(dtype):
    """Rounding to three bits would lead out of them."""
    shape = (100, 1000)
    made = np.asarray(fastinit.jax.uniform(1.0)(KEY, shape, dtype)).astype("float32")
    assert made.min() == 0
    assert 0.8 < made.max() < 1
    made = np.asarray(fastinit.jax.uniform(-1.0)(KEY, shape, dtype)).astype("float32")
    assert made.min() == -1
    made = np.asarray(fastinit.jax.uniform(0.0)(KEY, shape, dtype)).astype("float32")
    assert not made.any()
    for bound in (1.9, 2.0):
        init = fastinit.jax.truncated_normal(1.0, lower=-bound, upper=bound / 3)
        made = np.asarray(init(KEY, shape, dtype)).astype("float32")
        assert -bound <= made.min() < -1.7
        assert 0.5 < made.max() <= bound / 3
    init = fastinit.jax.truncated_normal(1.0, lower=-0.95, upper=np.inf)
    made = np.asarray(init(KEY, shape, dtype)).astype("float32")
    assert -0.95 <= made.min() < -0.8
    assert 3 < made.max() < 5
    for init, limit in (
        (fastinit.jax.he_uniform(), np.sqrt(6 / 100)),
        (fastinit.jax.he_normal(), 2 * np.sqrt(2 / 100) / 0.87962566103423978),
    ):
        made = np.asarray(init(KEY, shape, dtype)).astype("float32")
        assert 0.85 * limit < np.abs(made).max() <= limit


@pytest.mark.parametrize(
    "name", ["uniform", "normal", "truncated_normal", "he_normal", "orthogonal"]
)
@pytest.mark.parametrize("dtype", ["float8_e8m0fnu", "float4_e2m1fn"])
def test_dtypes_that_cannot_hold_the_values_are_refused(name, dtype):
    """One has no sign, and the other, which JAX refuses, too, four bits."""
    with pytest.raises(TypeError, match=f"dtype of .* must be .*, received {dtype}"):
        getattr(fastinit.jax, name)()(KEY, (3, 4), dtype)


def test_axes_may_be_arrays():
    axes = {"in_axis": np.array([0, 1]), "out_axis": np.int64(2), "batch_axis": np.array([], int)}
    made = fastinit.jax.he_normal(**axes)(KEY, (6, 8, 10))
    assert_same_bits(made, fastinit.jax.he_normal(in_axis=(0, 1), out_axis=2)(KEY, (6, 8, 10)))


@pytest.mark.parametrize(
    "make",
    [
        fastinit.jax.normal,
        fastinit.jax.uniform,
        fastinit.jax.truncated_normal,
        lambda upper: fastinit.jax.truncated_normal(upper=upper),
        lambda scale: fastinit.jax.variance_scaling(scale, "fan_in", "normal"),
        fastinit.jax.orthogonal,
    ],
)
def test_traced_parameters_are_refused(make):
    with pytest.raises(TypeError, match=r"(stddev|scale|upper) must be a concrete number"):
        jax.jit(lambda x: make(x)(KEY, (3, 4)))(2.0)


def test_copies_are_the_same_initializer():
    """flax compares them, and copies modules deeply."""
    for init in (fastinit.jax.he_normal(), fastinit.jax.constant(np.ones(3))):
        assert copy.deepcopy(init) == init
        assert copy.copy(init) == init
        assert hash(copy.deepcopy({"init": init})["init"]) == hash(init)


def moduli_and_angles(samples):
    samples = np.asarray(samples).reshape(-1).astype("complex128")
    return np.abs(samples), np.angle(samples)


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_complex_numbers_have_the_distribution_of_jax(distribution):
    shape = (500, 400)
    ours, theirs = (
        module.variance_scaling(2.0, "fan_in", distribution)(KEY, shape, "complex64")
        for module in (fastinit.jax, THEIRS)
    )
    assert ours.dtype == theirs.dtype == "complex64"
    for found, expected in zip(moduli_and_angles(ours), moduli_and_angles(theirs), strict=True):
        assert stats.ks_2samp(found, expected).pvalue > FALSE_ALARM
    assert stats.kstest(np.angle(ours).ravel(), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > (
        FALSE_ALARM
    )
    # |x|**2 has at most the variance that it has for a normal x, which is the square of its mean.
    variance = 2 / 500
    if distribution == "truncated_normal":  # JAX's correction is 0.9 % too small
        variance *= (1 - 4 * np.exp(-4) / (1 - np.exp(-4))) / (1 - 5 * np.exp(-4))
    found = np.mean(np.abs(np.asarray(ours, "complex128")) ** 2)
    assert abs(found / variance - 1) < 4.9 / np.sqrt(ours.size)
    radius = {"uniform": np.sqrt(2), "truncated_normal": 2 / 0.95311164380491208}.get(distribution)
    if radius:
        assert np.abs(ours).max() <= radius * np.sqrt(2 / 500) * (1 + 1e-6)
        assert np.abs(ours).max() > 0.999 * radius * np.sqrt(2 / 500)


def test_a_plain_complex_normal_has_the_parts_that_are_documented():
    made = fastinit.jax.normal(0.3)(KEY, (40, 50), "complex64")
    for part, name in ((made.real, "real 0"), (made.imag, "imaginary 0")):
        seed = fastinit.derive_seed(7, name)
        expected = fastinit.random_normal((40, 50), stddev=0.3 / np.sqrt(2), seed=seed)
        assert_same_bits(part, expected)


@pytest.mark.parametrize("dtype", ["complex64", "float8_e5m2"])
def test_parts_of_what_is_computed_in_blocks_are_those_of_the_whole(dtype):
    """A truncated complex number is drawn again by itself, wherever the part begins."""
    init = fastinit.jax.he_normal() if dtype == "complex64" else fastinit.jax.normal(1.0)
    parts = init.values((3, 900, 801), dtype).parts(7)
    whole = parts[...]
    for cut in (np.s_[1:2, 5:, 3:800], np.s_[:, :3], np.s_[2:, :, 800:]):
        found, expected = parts[cut], whole[cut]
        assert np.array_equal(found.view("u1"), np.ascontiguousarray(expected).view("u1"))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (3, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "complex64", "bfloat16"])
def test_orthogonal_matrices_have_their_columns_where_jax_has_them(shape, dtype):
    for axis in range(-len(shape), len(shape)):
        made = fastinit.jax.orthogonal(2.0, column_axis=axis)(KEY, shape, dtype)
        assert made.shape == shape
        assert made.dtype == dtype
        wide = np.complex128 if dtype == "complex64" else np.float64
        matrix = np.moveaxis(np.asarray(made).astype(wide), axis, -1).reshape(-1, shape[axis])
        if matrix.shape[0] < matrix.shape[1]:
            matrix = matrix.T
        product = matrix.conj().T @ matrix
        limit = 0.1 if dtype == "bfloat16" else 1e-5
        assert np.abs(product - 4 * np.eye(len(product))).max() < limit
        if dtype != "complex64":
            rows = np.prod(shape) // shape[axis]
            expected = fastinit.orthogonal((rows, shape[axis]), 2.0, seed=7, dtype=dtype)
            others = np.delete(shape, axis)
            expected = np.moveaxis(expected.reshape(*others, shape[axis]), -1, axis)
            assert_same_bits(made, np.ascontiguousarray(expected))


def test_unitary_matrices_are_haar_distributed():
    """Each entry of 2 x 2 has a uniform square of its modulus, and a uniform angle."""
    made = jax.vmap(lambda key: fastinit.jax.orthogonal()(key, (2, 2), "complex64"))(
        jax.random.split(KEY, 4000)
    )
    for row, column in itertools.product(range(2), range(2)):
        modulus, angle = moduli_and_angles(made[:, row, column])
        assert stats.kstest(modulus**2, stats.uniform.cdf).pvalue > FALSE_ALARM
        assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > FALSE_ALARM


@pytest.mark.parametrize("shape", [(5, 3, 4), (4, 2, 3, 4), (2, 3, 4, 4, 4)])
def test_delta_orthogonal_has_jax_layout(shape):
    for axis in (0, 1, -1, -2):
        ours, theirs = (
            np.asarray(module.delta_orthogonal(3.0, column_axis=axis)(KEY, shape))
            for module in (fastinit.jax, THEIRS)
        )
        assert np.array_equal(ours != 0, theirs != 0)
        middle = ours[tuple((n - 1) // 2 for n in shape[:-2])]
        assert np.abs(middle @ middle.T - 9 * np.eye(len(middle))).max() < 1e-5
    whole = fastinit.jax.delta_orthogonal(3.0)(KEY, shape)
    assert_same_bits(whole, fastinit.delta_orthogonal(shape, 3.0, seed=7))


def seed_of(key):
    """Return the seed of a key by its documented definition."""
    words = np.asarray(jax.random.key_data(key))
    if len(words) == 2:
        return int(words[0]) << 32 | int(words[1])
    digest = blake2b(words.astype("<u4").tobytes(), digest_size=8, person=b"fastinit.jax.key")
    return int.from_bytes(digest.digest(), "little")


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_the_seed_of_a_key(impl):
    init = fastinit.jax.normal(1.0)
    for n in (0, 1, 2**32 - 1):
        for key in (jax.random.key(n, impl=impl), *jax.random.split(jax.random.key(n, impl=impl))):
            expected = fastinit.random_normal((3, 4), stddev=1.0, seed=seed_of(key))
            assert_same_bits(init(key, (3, 4)), expected)
    assert seed_of(jax.random.key(2**32 - 1)) == 2**32 - 1
    first, second = (init(key, (3, 4)) for key in jax.random.split(jax.random.key(0, impl=impl)))
    assert not (first == second).any()


def test_golden_values_of_keys():
    """These must never change."""
    normal = fastinit.jax.normal(1.0)
    assert normal(jax.random.key(0), (2,)).tolist() == [-0.5574225783348083, -0.48764175176620483]
    assert normal(jax.random.key(1, impl="rbg"), (2,)).tolist() == [
        0.18148228526115417,
        1.012558102607727,
    ]
    assert fastinit.jax.he_normal()(jax.random.key(0), (2, 1), "complex64").tolist() == [
        [-0.8367758989334106 - 1.1698851585388184j],
        [0.6919348239898682 - 0.3576783537864685j],
    ]


def test_raw_keys_are_typed_keys():
    init = fastinit.jax.normal(1.0)
    for raw in (jax.random.PRNGKey(5), np.array([0, 5], np.uint32)):
        assert_same_bits(init(raw, (3, 4)), init(jax.random.key(5), (3, 4)))
    with jax.default_prng_impl("rbg"):
        assert_same_bits(init(jax.random.PRNGKey(5), (3, 4)), init(jax.random.key(5), (3, 4)))


def test_64_bits():
    """JAX enables 64-bit types for a whole process, so this runs in one of its own."""
    code = """
import jax, numpy as np, fastinit, fastinit.jax
jax.config.update("jax_enable_x64", True)
seed = 2**63 + 12345
key = jax.random.key(np.uint64(seed))
init = fastinit.jax.he_normal()
for made in (init(key, (30, 40)), jax.jit(lambda key: init(key, (30, 40), float))(key)):
    assert made.dtype == "float64"
    assert np.array_equal(made, fastinit.he_normal((30, 40), seed=seed, dtype="float64"))
assert init(key, (30, 40), "float32").dtype == "float32"
wide = init(key, (30, 40), "complex128")
assert wide.dtype == "complex128"
assert np.array_equal(wide, jax.jit(lambda key: init(key, (30, 40), complex))(key))
assert fastinit.jax.orthogonal()(key, (3, 4)).dtype == "float64"
assert fastinit.jax.zeros(key, (3,)).dtype == "float64"
print("done")
"""
    assert run_python(code, JAX_PLATFORMS="cpu") == "done"


def test_64_bits_that_jax_does_not_have_become_32_with_its_warning():
    for init in (fastinit.jax.he_normal(), fastinit.jax.orthogonal(), fastinit.jax.constant(1)):
        for dtype in ("float64", "complex128"):
            with pytest.warns(UserWarning, match=f"Explicitly requested dtype {dtype}"):
                made = init(KEY, (3, 4), dtype)
            assert made.dtype == {"float64": "float32", "complex128": "complex64"}[dtype]
    assert fastinit.jax.he_normal()(KEY, (3, 4), float).dtype == "float32"


BAD = {
    "mode": lambda m: m.variance_scaling(1.0, "fan", "normal")(KEY, (3, 4)),
    "distribution": lambda m: m.variance_scaling(1.0, "fan_in", "cauchy")(KEY, (3, 4)),
    "scale None": lambda m: m.variance_scaling(None, "fan_in", "normal")(KEY, (3, 4)),
    "scale str": lambda m: m.variance_scaling("1", "fan_in", "normal")(KEY, (3, 4)),
    "axis": lambda m: m.he_normal(in_axis=5)(KEY, (3, 4)),
    "axes": lambda m: m.he_normal(out_axis=(0, 5))(KEY, (3, 4)),
    "batch axis": lambda m: m.he_normal(batch_axis=2)(KEY, (3, 4)),
    "axis str": lambda m: m.he_normal(in_axis="a")(KEY, (3, 4)),
    "vector": lambda m: m.he_normal()(KEY, (3,)),
    "scalar": lambda m: m.he_normal()(KEY, ()),
    "no fan": lambda m: m.he_normal()(KEY, (0, 4)),
    "no outputs": lambda m: m.he_normal()(KEY, (4, 0)),
    "shape of floats": lambda m: m.normal()(KEY, (3, 4.0)),
    "shape str": lambda m: m.he_normal()(KEY, "ab"),
    "shape None": lambda m: m.he_normal()(KEY, None),
    **{
        f"{name} of {dtype}": lambda m, name=name, dtype=dtype: getattr(m, name)()(
            KEY, (3, 4, 4), dtype
        )
        for name in (
            "uniform",
            "normal",
            "truncated_normal",
            "he_normal",
            "he_uniform",
            "orthogonal",
            "delta_orthogonal",
        )
        for dtype in ("int32", "uint8", "bool", "nonsense")
    },
    "complex uniform": lambda m: m.uniform()(KEY, (3,), "complex64"),
    "complex truncated": lambda m: m.truncated_normal()(KEY, (3,), "complex64"),
    "complex stddev": lambda m: m.normal(1j)(KEY, (3,)),
    "key None": lambda m: m.normal()(None, (3,)),
    "key int": lambda m: m.normal()(0, (3,)),
    "keys": lambda m: m.normal()(jax.random.split(KEY), (3,)),
    "raw keys": lambda m: m.normal()(jax.random.split(jax.random.PRNGKey(0)), (3,)),
    "raw of floats": lambda m: m.normal()(jnp.zeros(2), (3,)),
    "raw of four": lambda m: m.normal()(jnp.zeros(4, "uint32"), (3,)),
    "orthogonal vector": lambda m: m.orthogonal()(KEY, (3,)),
    "column axis": lambda m: m.orthogonal(column_axis=2)(KEY, (3, 4)),
    "column axis str": lambda m: m.orthogonal(column_axis="a")(KEY, (3, 4)),
    "orthogonal sharding": lambda m: m.orthogonal()(KEY, (3, 4), out_sharding=SPEC),
    "delta matrix": lambda m: m.delta_orthogonal()(KEY, (3, 4)),
    "delta of six": lambda m: m.delta_orthogonal()(KEY, (1, 1, 1, 1, 3, 4)),
    "delta narrow": lambda m: m.delta_orthogonal()(KEY, (3, 4, 3)),
    "delta sharding": lambda m: m.delta_orthogonal()(KEY, (3, 3, 4), out_sharding=SPEC),
    "sharding str": lambda m: m.normal()(KEY, (3, 4), out_sharding="x"),
    "spec without a mesh": lambda m: m.normal()(KEY, (3, 4), out_sharding=SPEC),
    "constant": lambda m: m.constant([1, 2, 3])(KEY, (3, 4)),
    "constant of nonsense": lambda m: m.constant(1)(KEY, (3, 4), "nonsense"),
}
SPEC = jax.sharding.PartitionSpec("x")


@pytest.mark.parametrize("case", BAD)
def test_what_jax_refuses_is_refused_with_its_type_of_error(case):
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # whatever it is
        BAD[case](THEIRS)
    with pytest.raises(Exception) as ours:  # noqa: PT011
        BAD[case](fastinit.jax)
    assert type(ours.value) is type(theirs.value)
    assert type(ours.value) is not Exception


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fastinit.jax.normal(np.nan), "stddev must be finite in float32, received nan"),
        (lambda: fastinit.jax.normal(1e39), "stddev must be finite in float32, received 1e\\+39"),
        (lambda: fastinit.jax.variance_scaling(-1.0, "fan_in", "normal"), "scale must be a number"),
        (lambda: fastinit.jax.truncated_normal(lower=2, upper=-2), "lower must be < upper"),
    ],
)
def test_what_has_no_finite_values_is_refused_before_anything_runs(make, message):
    init = make()
    for run in (init, jax.jit(init, static_argnums=1)):
        with pytest.raises(ValueError, match=message):
            run(KEY, (3, 4))


INITIALIZERS = {
    "uniform": fastinit.jax.uniform(),
    "normal": fastinit.jax.normal(),
    "truncated_normal": fastinit.jax.truncated_normal(lower=-1, upper=3),
    "he_normal": fastinit.jax.he_normal(),
    "he_uniform": fastinit.jax.he_uniform(),
    "orthogonal": fastinit.jax.orthogonal(column_axis=0),
    "delta_orthogonal": fastinit.jax.delta_orthogonal(),
    "constant": fastinit.jax.constant(3),
    "zeros": fastinit.jax.zeros,
}


def as_bytes(array):
    return np.asarray(array).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "complex64"])
@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.usefixtures("way")
def test_the_same_bits_eagerly_and_under_transformations(name, dtype):
    init = INITIALIZERS[name]
    if dtype == "complex64" and name in ("uniform", "truncated_normal"):
        return

    def draw(key):
        return init(key, (3, 40, 50), dtype)

    keys = jax.random.split(KEY, 6)
    expected = [as_bytes(draw(key)) for key in keys]
    assert len(set(expected)) == (1 if name in ("constant", "zeros") else 6)
    assert [as_bytes(jax.jit(draw)(key)) for key in keys] == expected
    for run in (jax.vmap(draw), jax.jit(jax.vmap(draw)), lambda keys: jax.lax.map(draw, keys)):
        found = run(keys)
        assert found.shape == (6, 3, 40, 50)
        assert found.dtype == dtype
        assert [as_bytes(array) for array in found] == expected
    for run in (jax.vmap(jax.vmap(draw)), jax.jit(jax.vmap(jax.vmap(draw), out_axes=1))):
        found = run(keys.reshape(2, 3))
        if found.shape[0] != 2:
            found = jnp.swapaxes(found, 0, 1)
        assert [as_bytes(array) for array in found.reshape(6, 3, 40, 50)] == expected
    _, found = jax.jit(lambda keys: jax.lax.scan(lambda n, key: (n, draw(key)), 0, keys))(keys)
    assert [as_bytes(array) for array in found] == expected


@pytest.mark.usefixtures("way")
def test_values_are_constants_to_derivatives():
    init = fastinit.jax.he_normal()
    expected = init(KEY, (30, 40)).sum()

    def loss(x, key):
        return (x * init(key, (30, 40))).sum()

    for gradient in (
        jax.grad(loss),
        jax.jit(jax.grad(loss)),
        jax.jit(jax.grad(jax.checkpoint(loss))),
        jax.jacfwd(loss),
    ):
        assert gradient(2.0, KEY) == pytest.approx(float(expected), rel=1e-5)
    _, tangent = jax.jvp(lambda x: loss(x, KEY), (2.0,), (1.0,))
    assert tangent == pytest.approx(float(expected), rel=1e-5)
    raw = jax.random.PRNGKey(7)
    zero = jax.grad(lambda key: loss(1.0, key), allow_int=True)(raw)
    assert zero.dtype == jax.dtypes.float0


@pytest.mark.usefixtures("way")
def test_eval_shape_makes_nothing(made):
    init = fastinit.jax.he_normal()
    for key in (KEY, jax.random.PRNGKey(7)):
        with (
            mock.patch.object(_placement, "make_now", side_effect=AssertionError),
            mock.patch.object(_placement, "empty", side_effect=AssertionError),
        ):
            found = jax.eval_shape(lambda key=key: init(key, (10**8, 10**8), "bfloat16"))
            assert (found.shape, found.dtype) == ((10**8, 10**8), jnp.bfloat16)
            jax.eval_shape(lambda key: init(key, (10**8, 10**8)), key)
            jax.jit(init, static_argnums=1).lower(key, (10**4, 10**4)).compile()
    assert not made


def test_a_program_makes_the_values_in_its_own_memory(way, made):
    """On a CPU no array is allocated for the callback."""
    draw = jax.jit(lambda key: fastinit.jax.he_normal()(key, (64, 32)))
    with mock.patch.object(_placement, "empty", wraps=_placement.empty) as allocate:
        draw(KEY).block_until_ready()
    assert made == [(64, 32)]
    assert allocate.call_count == (way == "by copy")


def test_a_key_that_is_no_argument_leaves_no_constant_in_a_program():
    for key in (KEY, jax.random.PRNGKey(7)):
        program = jax.make_jaxpr(lambda key=key: fastinit.jax.he_normal()(key, (300, 400)))()
        assert sum(np.size(constant) for constant in program.consts) < 10


@pytest.mark.usefixtures("way")
def test_one_callback_makes_the_arrays_of_all_keys(made):
    init = fastinit.jax.he_normal()
    jax.jit(jax.vmap(lambda key: init(key, (3, 4))))(jax.random.split(KEY, 5)).block_until_ready()
    assert made == [(5, 3, 4)]


@pytest.mark.usefixtures("way")
def test_empty_arrays_and_scalars():
    for shape in ((), (0,), (3, 0, 2)):
        for init in (fastinit.jax.normal(), fastinit.jax.uniform()):
            for run in (init, jax.jit(init, static_argnums=1)):
                assert run(KEY, shape).shape == shape
    assert fastinit.jax.orthogonal()(KEY, (0, 3)).shape == (0, 3)
    assert fastinit.jax.normal()(KEY, 5).shape == (5,)
    assert fastinit.jax.normal()(KEY, np.array([3, 4])).shape == (3, 4)


def test_an_array_is_made_without_a_copy():
    """JAX can share memory of NumPy that is aligned to 64 bytes, as that of large arrays is."""
    if jax.default_backend() != "cpu":
        return
    seen = []
    put = jax.device_put

    def watch(array, *arguments):
        seen.append(array.ctypes.data)
        return put(array, *arguments)

    with mock.patch.object(jax, "device_put", watch):
        made = fastinit.jax.normal()(KEY, (2048, 2048))
    assert seen == [made.unsafe_buffer_pointer()]


def test_a_donated_array_is_deleted_and_its_result_is_right():
    """JAX copies memory of NumPy before a program may write to it."""
    made = fastinit.jax.normal(1.0)(KEY, (2048, 2048))
    view = np.asarray(made).copy()
    doubled = jax.jit(lambda x: 2 * x, donate_argnums=0)(made)
    assert_same_bits(doubled, 2 * view)
    assert made.is_deleted()


@pytest.mark.parametrize("way", ["in place", "by copy"])
def test_concurrent_callbacks_do_not_deadlock(way):
    """Several threads run programs of 40 callbacks each."""
    code = """
import sys, threading
import jax, numpy as np, fastinit.jax
from fastinit.jax import _placement

if sys.argv[1] == "by copy":
    _placement.buffer_callback = None
init = fastinit.jax.he_normal()
draw = jax.jit(lambda keys: [init(key, (300, 400)) for key in keys])
keys = jax.random.split(jax.random.key(0), 40)
expected = [np.asarray(init(key, (300, 400))) for key in keys]
found = [None] * 4
def run(i):
    for _ in range(3):
        found[i] = [np.asarray(array) for array in draw(keys)]
threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
for arrays in found:
    assert all(map(np.array_equal, arrays, expected))
print("done")
"""
    assert run_python(code, way, JAX_PLATFORMS="cpu") == "done"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("init", "dtype"),
    [
        (fastinit.jax.normal(1e-41), "float32"),
        (fastinit.jax.normal(1e-41), "complex64"),
        (fastinit.jax.variance_scaling(1e-77, "fan_in", "uniform"), "complex64"),
        (fastinit.jax.normal(4e-5), "float8_e5m2"),
        (fastinit.jax.orthogonal(1e-6), "float16"),
        (fastinit.jax.orthogonal(1e-39), "complex64"),
    ],
)
def test_small_numbers_survive_the_floating_point_modes_of_the_threads_of_jax(init, dtype):
    eager = init(KEY, (30, 40), dtype)
    assert as_bytes(jax.jit(lambda key: init(key, (30, 40), dtype))(KEY)) == as_bytes(eager)
    assert np.count_nonzero(np.asarray(eager).astype("complex64")) > 600


def test_the_import_names_the_extra_where_jax_is_missing():
    code = """
import sys
sys.modules["jax"] = None
try:
    import fastinit.jax
except ModuleNotFoundError as error:
    print(error, error.name)
"""
    printed = run_python(code)
    assert printed == ("fastinit.jax needs JAX (the extra 'jax' has it): pip install jax jax")


def test_fastinit_itself_does_not_import_jax():
    assert run_python(
        "import sys, fastinit, fastinit.initializers; print('jax' in sys.modules)"
    ) == ("False")
    assert "jax" in sys.modules
