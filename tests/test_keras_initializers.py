"""Test fastinit.keras.initializers on whatever backend Keras is set to.

``pip install '.[integration]' && KERAS_BACKEND=torch pytest -m integration tests/test_keras_*.py``
"""

import copy
import inspect
import json
import os
import pickle
import re
import warnings

import numpy as np
import pytest
from processes import run_python

import fastinit
from fastinit import initializers as arrays

os.environ.setdefault("KERAS_BACKEND", "jax")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    from keras.src.initializers import ALL_OBJECTS_DICT

    import fastinit.keras
    from fastinit.keras import initializers
    from fastinit.keras.initializers import NAMES

BACKEND = keras.backend.backend()

pytestmark = [
    pytest.mark.integration,
    # What Keras and its backends warn of on the way is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

CLASSES = sorted(set(NAMES.values()), key=lambda cls: cls.__name__)
IN_KERAS = [cls for cls in CLASSES if hasattr(keras.initializers, cls.__name__)]
BIG = fastinit.derive_seed(0, "dense/kernel")  # above 2**32, as most derived seeds


def numpy_of(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def shape_for(cls):
    return (3, 3, 4, 5) if cls is initializers.DeltaOrthogonal else (6, 4)


def of_arrays(cls):
    return getattr(arrays, cls.__name__)


def equal(a, b):
    return np.array_equal(numpy_of(a), numpy_of(b))


def kernels(layer):
    return [numpy_of(v) for v in layer.weights if "kernel" in v.path]


# Names, classes, values.


def test_every_public_name_of_keras_is_here():
    for name, theirs in vars(keras.initializers).items():
        if name.startswith("_") or inspect.ismodule(theirs):
            continue
        ours = getattr(initializers, name)
        assert name in initializers.__all__
        if inspect.isclass(theirs):
            assert issubclass(ours, theirs)


def test_every_random_name_that_keras_finds_is_ours():
    random = {
        name
        for name, cls in ALL_OBJECTS_DICT.items()
        if "seed" in inspect.signature(cls).parameters
    }
    assert random <= NAMES.keys()
    for name in random:
        assert NAMES[name].__name__ == ALL_OBJECTS_DICT[name].__name__
        assert type(initializers.get(name)) is NAMES[name]
        assert type(initializers.deserialize({"class_name": name, "config": {}})) is NAMES[name]
    assert len(random) > 20


@pytest.mark.parametrize("cls", IN_KERAS)
def test_arguments_and_defaults_are_those_of_keras(cls):
    theirs = inspect.signature(getattr(keras.initializers, cls.__name__)).parameters
    ours = inspect.signature(cls).parameters
    extra = {"lower", "upper", "batch_axis"}
    assert [(p.name, p.default) for p in ours.values() if p.name not in extra] == [
        (p.name, p.default) for p in theirs.values()
    ]


# JAX has float64 only where it is told so: test_float64_of_jax.
DTYPES = ["float32", "float16", "bfloat16", *(["float64"] if BACKEND != "jax" else [])]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", CLASSES)
def test_values_are_those_of_the_arrays(cls, dtype):
    for seed in (1, BIG, np.int64(3)):
        found = cls(seed=seed)(shape_for(cls), dtype=dtype)
        assert keras.backend.is_keras_tensor(found) is False
        assert keras.backend.standardize_dtype(found.dtype) == dtype
        expected = of_arrays(cls)(seed=seed)(shape_for(cls), dtype)
        wide = "float64" if dtype == "float64" else "float32"  # both hold it exactly
        assert np.array_equal(numpy_of(keras.ops.cast(found, wide)), expected.astype(wide))


def test_float64_of_jax():
    run_python(
        """
import os
os.environ.update(KERAS_BACKEND="jax", JAX_ENABLE_X64="1")
import numpy as np, fastinit
from fastinit.keras import initializers
found = np.asarray(initializers.HeNormal(seed=1)((6, 4), dtype="float64"))
assert found.dtype == np.float64
assert np.array_equal(found, fastinit.he_normal((6, 4), seed=1, dtype="float64"))
"""
    )


def test_float8_is_rounded_from_float32():
    found = initializers.HeNormal(seed=1)((6, 4), dtype="float8_e4m3fn")
    assert keras.backend.standardize_dtype(found.dtype) == "float8_e4m3fn"
    expected = keras.ops.cast(initializers.HeNormal(seed=1)((6, 4)), "float8_e4m3fn")
    assert equal(keras.ops.cast(found, "float32"), keras.ops.cast(expected, "float32"))


@pytest.mark.parametrize("cls", CLASSES)
def test_the_dtype_is_floatx_where_it_is_left_out(cls):
    before = keras.config.floatx()
    keras.config.set_floatx("float16")
    try:
        found = cls(seed=1)(shape_for(cls))
    finally:
        keras.config.set_floatx(before)
    assert keras.backend.standardize_dtype(found.dtype) == "float16"


@pytest.mark.parametrize(
    ("ours", "expected", "shape"),
    [
        (
            lambda: initializers.TruncatedNormal(1.0, 0.5, 1, lower=-1, upper=np.float32(3)),
            arrays.TruncatedNormal(1.0, 0.5, 1, lower=-1, upper=3),
            (40, 30),
        ),
        (
            lambda: initializers.VarianceScaling(2.0, "fan_geo_avg", "uniform", 1),
            arrays.VarianceScaling(2.0, "fan_geo_avg", "uniform", 1),
            (40, 30),
        ),
        (
            lambda: initializers.Orthogonal(2.0, 1, batch_axis=0),
            arrays.Orthogonal(2.0, 1, batch_axis=0),
            (2, 6, 4),
        ),
        (lambda: initializers.HeNormal(1, [1], [0]), arrays.HeNormal(1, [1], [0]), (40, 30)),
        (lambda: initializers.DeltaOrthogonal(3.0, 1), arrays.DeltaOrthogonal(3.0, 1), (3, 4, 4)),
    ],
    ids=["bounds", "geometric", "batch", "axes", "gain"],
)
def test_arguments_beyond_those_of_keras(ours, expected, shape):
    assert equal(ours()(shape), expected(shape))
    again = initializers.deserialize(json.loads(json.dumps(initializers.serialize(ours()))))
    assert type(again) is type(ours())
    assert equal(again(shape), expected(shape))


def test_one_axis_alone_is_ignored_as_in_keras():
    ours = initializers.HeNormal(seed=1, input_axes=[1])
    assert equal(ours((6, 4)), fastinit.he_normal((6, 4), seed=1))


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.VarianceScaling(scale=0),
        lambda m: m.VarianceScaling(scale=-1.0),
        lambda m: m.VarianceScaling(mode="fan"),
        lambda m: m.VarianceScaling(distribution="gamma"),
        lambda m: m.HeNormal(input_axes=[3], output_axes=[0])((2, 2)),
        lambda m: m.Orthogonal()((2,)),
        lambda m: m.Orthogonal()(()),
        lambda m: m.GlorotUniform(scale=2.0),
        lambda m: m.get("he"),
        lambda m: m.get(3),
        lambda m: m.deserialize({"class_name": "Unknown", "config": {}}),
        lambda m: m.deserialize({"class_name": "HeNormal", "config": {"gain": 1.0}}),
    ],
    ids=lambda call: inspect.getsource(call).strip()[10:-1],
)
def test_the_same_errors(call):
    def error_of(module):
        try:
            return call(module)
        except Exception as error:
            return type(error)

    theirs = error_of(keras.initializers)
    if theirs == "Unknown":  # Keras returns the name, and get() refuses it
        assert error_of(initializers) == theirs
    else:
        assert issubclass(error_of(initializers), theirs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: initializers.RandomNormal(stddev=-1), ValueError, "stddev must be >= 0"),
        (lambda: initializers.RandomUniform(2, 1), ValueError, "minval must be <= maxval"),
        (lambda: initializers.HeNormal(seed=-1), ValueError, "0 <= seed < 2[*][*]64"),
        (lambda: initializers.HeNormal(seed=1 << 64), ValueError, "0 <= seed < 2[*][*]64"),
        (lambda: initializers.HeNormal(seed=1.5), TypeError, "seed must be an integer"),
        (lambda: initializers.HeNormal(seed="1"), TypeError, "seed must be an integer"),
        (lambda: initializers.HeNormal(input_axes=1, output_axes=0), TypeError, "input_axes must"),
        (lambda: initializers.HeNormal()((2, 2), "int32"), TypeError, "dtype must be float32"),
        (lambda: initializers.HeNormal()((2, None)), TypeError, "shape must be"),
        (lambda: initializers.HeNormal()((2, -1)), ValueError, "negative dimensions"),
    ],
)
def test_clear_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Layers.


def attention(cls, **arguments):
    layer = cls(**arguments)
    layer(keras.Input((3, 32)), keras.Input((3, 32)))
    return layer


ATTENTIONS = [
    (keras.layers.MultiHeadAttention, {"num_heads": 4, "key_dim": 8}),
    (
        keras.layers.GroupQueryAttention,
        {"head_dim": 8, "num_query_heads": 4, "num_key_value_heads": 2},
    ),
]


@pytest.mark.parametrize(("cls", "sizes"), ATTENTIONS)
@pytest.mark.parametrize("named", [False, True])
def test_attention_layers_have_the_fans_of_their_projections(cls, sizes, named):
    if named:
        with fastinit.keras.scope(seed=0):
            layer = attention(cls, **sizes, kernel_initializer="lecun_normal", name="attention")
    else:
        layer = attention(cls, **sizes, kernel_initializer=initializers.LecunNormal(seed=1))
    for variable in [v for v in layer.weights if v.path.endswith("kernel")]:
        inward = [0, 1] if "output" in variable.path else [0]
        outward = [axis for axis in range(3) if axis not in inward]
        seed = fastinit.derive_seed(0, variable.path) if named else 1
        expected = fastinit.lecun_normal(
            variable.shape, seed=seed, input_axes=inward, output_axes=outward
        )
        assert equal(variable, expected)
    assert len(kernels(layer)) == 4


@pytest.mark.parametrize(("cls", "sizes"), ATTENTIONS)
@pytest.mark.parametrize(
    "seed",
    [
        lambda: None,
        lambda: keras.random.SeedGenerator(5),
        lambda: fastinit.SeedGenerator(5),
        lambda: np.random.default_rng(5),
    ],
    ids=["None", "keras", "fastinit", "numpy"],
)
def test_projections_differ_and_repeat(cls, sizes, seed):
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        layer = attention(cls, **sizes, kernel_initializer=initializers.HeNormal(seed=seed()))
        runs.append(kernels(layer))
    for first, second in zip(*runs, strict=True):
        assert np.array_equal(first, second)
    for n, first in enumerate(runs[0]):
        for other in runs[0][:n]:
            assert not np.array_equal(first.ravel()[:8], other.ravel()[:8])


def test_einsum_dense_keeps_axes_that_are_given():
    layer = keras.layers.EinsumDense(
        "abc,cde->abde",
        (None, 4, 5),
        kernel_initializer=initializers.HeNormal(1, input_axes=[1], output_axes=[0]),
    )
    layer.build((None, 3, 6))
    expected = fastinit.he_normal((6, 4, 5), seed=1, input_axes=[1], output_axes=[0])
    assert equal(layer.kernel, expected)


def test_set_random_seed_determines_seeds_that_are_drawn_as_often_as_in_keras():
    runs = []
    for module in (initializers, initializers, keras.initializers):
        keras.utils.set_random_seed(3)
        made = [module.HeNormal(), module.Orthogonal(), module.HeNormal(seed=1), module.Zeros()]
        runs.append([made[0].seed, made[1].seed, keras.initializers.HeNormal().seed])
    assert runs[0] == runs[1] == runs[2]
    unseeded = initializers.HeNormal()
    assert equal(unseeded((4, 4)), unseeded((4, 4)))  # as in Keras
    assert equal(unseeded((4, 4)), fastinit.he_normal((4, 4), seed=unseeded.seed))


def test_layers_take_the_initializers():
    sequences = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Embedding(7, 4, embeddings_initializer=initializers.RandomUniform(seed=1)),
            keras.layers.SeparableConv1D(
                8,
                3,
                depthwise_initializer=initializers.HeUniform(seed=2),
                pointwise_initializer=initializers.GlorotNormal(seed=3),
            ),
            keras.layers.BatchNormalization(
                gamma_initializer=initializers.RandomNormal(1.0, 0.02, seed=4),
                moving_mean_initializer=initializers.TruncatedNormal(seed=5),
                renorm=True,
            ),
            keras.layers.Bidirectional(
                keras.layers.LSTM(
                    4,
                    kernel_initializer=initializers.LecunUniform(seed=6),
                    recurrent_initializer=initializers.Orthogonal(seed=BIG),
                )
            ),
        ]
    )
    embedding, convolution, normalization, recurrent = sequences.layers
    assert equal(embedding.embeddings, fastinit.random_uniform((7, 4), seed=1))
    assert equal(convolution.depthwise_kernel, fastinit.he_uniform((3, 4, 1), seed=2))
    assert equal(convolution.pointwise_kernel, fastinit.glorot_normal((1, 4, 8), seed=3))
    assert equal(normalization.gamma, fastinit.random_normal(8, 1.0, 0.02, seed=4))
    assert equal(normalization.moving_mean, fastinit.truncated_normal(8, seed=5))
    for direction in (recurrent.forward_layer, recurrent.backward_layer):
        assert type(direction.cell.kernel_initializer) is initializers.LecunUniform
        assert equal(direction.cell.kernel, fastinit.lecun_uniform((8, 16), seed=6))
        assert equal(direction.cell.recurrent_kernel, fastinit.orthogonal((4, 16), seed=BIG))
    convolution = keras.layers.Conv2D(4, 3, kernel_initializer=initializers.HeNormal(seed=1))
    convolution.build((None, 8, 8, 3))
    assert equal(convolution.kernel, fastinit.he_normal((3, 3, 3, 4), seed=1))


def test_a_weight_in_half_precision():
    for dtype in ("float16", "bfloat16"):
        layer = keras.layers.Dense(8, kernel_initializer=initializers.HeNormal(seed=1), dtype=dtype)
        layer.build((None, 16))
        assert keras.backend.standardize_dtype(layer.kernel.dtype) == dtype
        expected = fastinit.he_normal((16, 8), seed=1, dtype=dtype)
        assert equal(keras.ops.cast(layer.kernel, "float32"), expected.astype("float32"))


def test_optimizers_take_one_initializer_for_several_variables():
    weight = keras.Variable(np.zeros((3, 4), np.float32), name="weight")
    for initializer in (initializers.Zeros(), initializers.HeNormal(seed=1)):
        optimizer = keras.optimizers.SGD()
        optimizer.build([weight])
        found = optimizer.add_optimizer_variables([weight], ["a", "b"], initializer=initializer)
        assert [len(variables) for variables in found] == [1, 1]
        assert equal(found[1][0], initializer((3, 4)))


def test_lora_and_quantization():
    layer = keras.layers.Dense(8, kernel_initializer=initializers.HeNormal(seed=1))
    layer.build((None, 16))
    layer.enable_lora(2, a_initializer=initializers.HeUniform(seed=2))
    assert equal(layer.lora_kernel_a, fastinit.he_uniform((16, 2), seed=2))
    layer.quantize("int8")
    assert layer(np.ones((1, 16), np.float32)).shape == (1, 8)
    layer = keras.layers.EinsumDense(
        "ab,bc->ac", 8, kernel_initializer=initializers.HeNormal(seed=1)
    )
    layer.build((None, 16))
    layer.enable_lora(2)
    layer.quantize("int8")
    assert layer(np.ones((1, 16), np.float32)).shape == (1, 8)


def test_the_samples_of_the_documents():
    Dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((12,))])
    with fastinit.keras.scope(seed=1):
        model.add(Dense(64, kernel_initializer="random_uniform", bias_initializer="zeros"))
        model.add(Dense(64, kernel_initializer=initializers.random_normal(stddev=0.01)))
        model.add(Dense(64, kernel_initializer="random_normal"))
        he_avg_init = initializers.VarianceScaling(
            scale=2.0, mode="fan_avg", distribution="uniform"
        )
        model.add(Dense(10, activation="sigmoid", kernel_initializer=he_avg_init))
        model.add(Dense(10, activation="relu", kernel_initializer=initializers.he_normal()))
    for layer in model.layers:
        assert type(layer.kernel_initializer) in CLASSES
    weights = [numpy_of(w) for w in model.get_weights()]
    assert np.abs(weights[0]).max() <= 0.05
    assert not weights[1].any()
    assert weights[2].std() == pytest.approx(0.01, rel=0.06)  # 4096 values: 5.4 standard errors
    assert weights[4].std() == pytest.approx(0.05, rel=0.06)
    assert np.abs(weights[6]).max() <= np.sqrt(3 * 2 / 37) * (1 + 1e-6)
    assert model.predict(np.ones((2, 12)), verbose=0).shape == (2, 10)


@pytest.mark.parametrize(
    "made",
    [
        lambda m: m.Zeros(),
        lambda m: m.Ones(),
        lambda m: m.Constant(value=0),
        lambda m: m.RandomNormal(mean=0.0, stddev=0.05, seed=None),
        lambda m: m.RandomUniform(minval=-0.05, maxval=0.05, seed=None),
        lambda m: m.TruncatedNormal(mean=0.0, stddev=0.05, seed=None),
        lambda m: m.VarianceScaling(scale=1.0, mode="fan_in", distribution="normal", seed=None),
        lambda m: m.Orthogonal(gain=1.0, seed=None),
        lambda m: m.Identity(gain=1.0),
        lambda m: m.lecun_uniform(seed=None),
        lambda m: m.lecun_normal(seed=None),
        lambda m: m.glorot_normal(seed=None),
        lambda m: m.glorot_uniform(seed=None),
        lambda m: m.he_normal(seed=None),
        lambda m: m.he_uniform(seed=None),
    ],
    ids=lambda made: inspect.getsource(made).strip()[10:-1],
)
def test_the_signatures_of_the_documents(made):
    values = numpy_of(made(initializers)(shape=(9, 1)))
    assert values.shape == (9, 1)
    assert type(made(initializers)).__name__ == type(made(arrays)).__name__


# Copies and files.


class Plain(keras.layers.Layer):
    """A layer that is written as Keras's guide says."""

    def __init__(self, initializer, **arguments):
        super().__init__(**arguments)
        self.initializer = initializers.get(initializer)

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 4), initializer=self.initializer)

    def call(self, x):
        return keras.ops.matmul(x, self.w)

    def get_config(self):
        saved = keras.saving.serialize_keras_object(self.initializer)
        return {**super().get_config(), "initializer": saved}

    @classmethod
    def from_config(cls, config):
        config["initializer"] = keras.saving.deserialize_keras_object(config["initializer"])
        return cls(**config)


SAVED = [
    *(lambda cls=cls, seed=seed: cls(seed=seed) for cls in CLASSES for seed in (1, BIG)),
    lambda: initializers.VarianceScaling(2.0, "fan_geo_avg", "uniform", BIG, [0], [1]),
    lambda: initializers.TruncatedNormal(lower=-1.0, upper=3.0, seed=1),
    lambda: initializers.HeNormal(seed=fastinit.SeedGenerator(BIG)),
    lambda: initializers.HeNormal(seed=keras.random.SeedGenerator(5)),
    lambda: fastinit.standard_uniform,
    lambda: fastinit.he_normal,
]


def shown(made):
    return f"{getattr(made(), '__name__', type(made()).__name__)}-{getattr(made(), 'seed', '')}"


@pytest.mark.parametrize("made", SAVED, ids=shown)
@pytest.mark.parametrize("custom", [False, True])
def test_models_save_load_and_copy(made, custom, tmp_path):
    initializer = made()
    delta = isinstance(initializer, initializers.DeltaOrthogonal)
    if custom and not delta:
        model = keras.Sequential([keras.Input((3,)), Plain(initializer)])
        name = "initializer"
    elif delta:
        layer = keras.layers.Conv2D(4, 3, kernel_initializer=initializer)
        model, name = keras.Sequential([keras.Input((8, 8, 3)), layer]), "kernel_initializer"
    else:
        layer = keras.layers.Dense(4, kernel_initializer=initializer)
        model, name = keras.Sequential([keras.Input((3,)), layer]), "kernel_initializer"
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path, custom_objects={"Plain": Plain})
    again = getattr(loaded.layers[0], name)
    assert equal(loaded.weights[0], model.weights[0])
    copied = keras.models.clone_model(model)
    if inspect.isfunction(initializer):
        assert again is initializer
        return
    assert type(again) is type(initializer)
    before, after = initializer.get_config(), again.get_config()
    assert json.dumps(before, default=str) == json.dumps(after, default=str)
    # Loading has built the layer, so a generator that was loaded has advanced.
    fresh = initializers.get(initializers.serialize(again))
    assert equal(fresh(loaded.weights[0].shape), model.weights[0])
    assert equal(copied.weights[0], model.weights[0])


WITHOUT = """
import sys
sys.modules["fastinit"] = None
import keras
model = keras.models.load_model(sys.argv[1])
print(*{type(layer.kernel_initializer).__module__.partition(".")[0] for layer in model.layers})
"""


def test_a_model_loads_where_keras_has_the_class_and_takes_the_seed(tmp_path):
    layers = [
        keras.layers.Dense(4, kernel_initializer=cls(seed=2**32 - 1))
        for cls in IN_KERAS
        if cls is not initializers.VarianceScaling
    ]
    with fastinit.keras.scope(seed=BIG):
        layers += [keras.layers.Dense(4), keras.layers.Dense(4, kernel_initializer="orthogonal")]
        model = keras.Sequential([keras.Input((4,)), *layers])
    model.save(tmp_path / "model.keras")
    assert run_python(WITHOUT, tmp_path / "model.keras", timeout=120) == "keras"


ERRORS_WITHOUT = """
import sys
sys.modules["fastinit"] = None
import keras
for path in sys.argv[1:]:
    try:
        keras.models.load_model(path)
    except (TypeError, ValueError) as error:
        print(type(error).__name__, *str(error).split())
    else:
        print("no error")
"""


def test_otherwise_keras_says_what_is_missing(tmp_path):
    made = {
        "fastinit": initializers.HeNormal(seed=2**32),
        "fastinit.*SeedGenerator": initializers.HeNormal(seed=fastinit.SeedGenerator(1)),
        "StandardUniform": initializers.StandardUniform(seed=1),
        "lower": initializers.TruncatedNormal(lower=-1.0, seed=1),
        "fan_geo_avg": initializers.VarianceScaling(mode="fan_geo_avg", seed=1),
        "he_normal": fastinit.he_normal,
    }
    paths = [tmp_path / f"{number}.keras" for number in range(len(made))]
    for path, initializer in zip(paths, made.values(), strict=True):
        layer = keras.layers.Dense(4, kernel_initializer=initializer)
        keras.Sequential([keras.Input((4,)), layer]).save(path)
    errors = run_python(ERRORS_WITHOUT, *paths, timeout=120).splitlines()
    for missing, error in zip(made, errors, strict=True):
        assert re.search(rf"^(TypeError|ValueError) .*{missing}", error), (missing, error)


def test_objects_of_the_user_come_first():
    class Mine(keras.initializers.Zeros):
        pass

    config = {"class_name": "HeNormal", "config": {}}
    assert type(initializers.deserialize(config, {"HeNormal": Mine})) is Mine
    keras.saving.get_custom_objects()["he_normal"] = Mine
    try:
        assert type(initializers.get("he_normal")) is Mine
        with fastinit.keras.scope(seed=0):
            assert type(initializers.get("he_normal")) is Mine
            assert type(initializers.get("HeNormal")) is initializers.HeNormal
    finally:
        del keras.saving.get_custom_objects()["he_normal"]


def test_a_generator_of_numpy_is_used_and_not_saved():
    initializer = initializers.HeNormal(seed=np.random.default_rng(3))
    key = int(np.random.default_rng(3).integers(2**64 - 1, dtype=np.uint64, endpoint=True))
    assert equal(initializer((3, 4)), fastinit.he_normal((3, 4), seed=key))
    with pytest.raises(TypeError, match="Generator"):
        initializers.serialize(initializer)


@pytest.mark.parametrize("seed", [1, BIG])
@pytest.mark.parametrize("cls", CLASSES)
def test_configurations_cross_to_the_arrays_and_back(cls, seed):
    config = json.loads(json.dumps(initializers.serialize(cls(seed=seed))))
    again = arrays.deserialize(config)
    assert again == of_arrays(cls)(**again._arguments())
    assert again.seed == seed
    back = initializers.deserialize(json.loads(json.dumps(arrays.serialize(again))))
    assert type(back) is cls
    assert json.dumps(initializers.serialize(back)) == json.dumps(config)


def test_functions_and_generators_cross_to_the_arrays():
    for function in (fastinit.he_normal, fastinit.standard_uniform):
        config = json.loads(json.dumps(initializers.serialize(function)))
        assert arrays.deserialize(config) is function
        assert initializers.deserialize(config) is function
    seeds = fastinit.SeedGenerator(5)
    config = json.loads(json.dumps(initializers.serialize(initializers.HeNormal(seed=seeds))))
    again = arrays.deserialize(config)
    assert np.array_equal(again((3, 4)), fastinit.he_normal((3, 4), seed=seeds))
    # Keras loads what the arrays write, whether fastinit.keras is imported or not.
    config = json.loads(json.dumps(arrays.serialize(arrays.HeNormal(seed=seeds))))
    assert isinstance(keras.initializers.deserialize(config).seed, keras.random.SeedGenerator)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("cls", CLASSES)
def test_objects_are_copied(cls, copied):
    initializer = cls(seed=BIG)
    again = copied(initializer)
    assert equal(again(shape_for(cls)), initializer(shape_for(cls)))
    assert equal(initializer.clone()(shape_for(cls)), initializer(shape_for(cls)))


# Traced code.


class Nested(keras.layers.Layer):
    """A layer without build(), whose weights Keras makes after it has traced the call."""

    def __init__(self, initializer):
        super().__init__()
        self.first = keras.layers.Dense(4, kernel_initializer=initializer)
        self.second = keras.layers.Dense(4, kernel_initializer=initializer)

    def call(self, x):
        return self.second(self.first(x))


def test_no_seed_is_drawn_while_keras_traces_a_layer():
    seeds = fastinit.SeedGenerator(1)
    nested = Nested(initializers.HeNormal(seed=seeds))
    nested(keras.Input((4,)))
    again = fastinit.SeedGenerator(1)
    for kernel in kernels(nested):
        assert np.array_equal(kernel, fastinit.he_normal((4, 4), seed=again))
    assert again.next() == seeds.next()


TRACED_BY_JAX = """
import os
os.environ.update(KERAS_BACKEND="jax")
import jax, keras, numpy as np, fastinit
from fastinit.keras import initializers

seed = fastinit.derive_seed(0, "dense/kernel")
he = initializers.HeNormal(seed=seed)
for dtype in ("float32", "bfloat16", "float16"):
    found = jax.jit(lambda: he((6, 4), dtype=dtype))()
    assert np.array_equal(found, fastinit.he_normal((6, 4), seed=seed, dtype=dtype))
assert jax.eval_shape(lambda: he((1 << 20, 1 << 20))).shape == (1 << 20, 1 << 20)

seeds = keras.random.SeedGenerator(5)
drawn = initializers.HeNormal(seed=seeds)

@jax.jit
def twice(state):
    with keras.StatelessScope(state_mapping=[(seeds.state, state)]):
        return drawn((6, 4)), drawn((6, 4))

for n, found in enumerate(twice(seeds.state.value)):
    assert np.array_equal(found, fastinit.he_normal((6, 4), seed=5 + (n << 32)))
assert np.array_equal(drawn((6, 4)), fastinit.he_normal((6, 4), seed=5))
"""


def test_code_that_jax_traces():
    run_python(TRACED_BY_JAX, timeout=120)


TRACED_BY_TENSORFLOW = """
import os, sys
sys.stderr = sys.stdout  # for what TensorFlow logs
os.environ.update(KERAS_BACKEND="tensorflow")
import keras, numpy as np, tensorflow as tf, fastinit
from fastinit.keras import initializers

seed = fastinit.derive_seed(0, "dense/kernel")
he = initializers.HeNormal(seed=seed)
drawn = initializers.HeNormal(seed=keras.random.SeedGenerator(5))

constant = tf.function(lambda: he((6, 4)), jit_compile=True)  # XLA takes no callback
assert np.array_equal(constant(), fastinit.he_normal((6, 4), seed=seed))

@tf.function
def traced():
    return he((6, 4)), drawn((6, 4)), drawn((6, 4), dtype="bfloat16")

for n in range(2):
    first, second, third = traced()
    assert np.array_equal(first, fastinit.he_normal((6, 4), seed=seed))
    assert np.array_equal(second, fastinit.he_normal((6, 4), seed=5 + (2 * n << 32)))
    assert third.shape == (6, 4)
    expected = fastinit.he_normal((6, 4), seed=5 + (2 * n + 1 << 32), dtype="bfloat16")
    assert np.array_equal(tf.cast(third, "float32"), expected.astype("float32"))
"""


def test_code_that_tensorflow_traces(tmp_path):
    script = tmp_path / "script.py"  # TensorFlow reads the source of what it traces
    script.write_text(TRACED_BY_TENSORFLOW)
    printed = run_python("import runpy, sys; runpy.run_path(sys.argv[1])", script, timeout=120)
    assert "AutoGraph" not in printed  # it warns where it cannot rewrite this library


PARALLEL = """
import os
os.environ.update(
    KERAS_BACKEND="jax", XLA_FLAGS="--xla_force_host_platform_device_count=8", JAX_PLATFORMS="cpu"
)
import jax, keras, numpy as np, fastinit, fastinit.keras
from fastinit._lazy import LazyArray
from fastinit.keras import initializers

made = []
getitem = LazyArray.__getitem__
def counted(self, index):
    part = getitem(self, index)
    made.append(part.shape)
    return part
LazyArray.__getitem__ = counted

mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"), jax.devices())
layouts = keras.distribution.LayoutMap(mesh)
layouts[".*kernel"] = ("batch", "model")
keras.distribution.set_distribution(
    keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
)
with fastinit.keras.scope(seed=0):
    model = keras.Sequential([
        keras.Input((8,)),
        keras.layers.Dense(16, name="first", kernel_initializer="he_normal"),
        keras.layers.Dense(16, name="second", kernel_initializer="orthogonal"),
    ])
first, second = (layer.kernel.value for layer in model.layers)
assert {shard.data.shape for shard in first.addressable_shards} == {(4, 4)}
assert {shard.data.shape for shard in second.addressable_shards} == {(8, 4)}
assert made == [(4, 4)] * 8, made  # each device made its own part of the first
del made[:]

# What Keras passes elsewhere: a layout of its own, a generator whose state is an array, 8 bits.
layout = keras.distribution.TensorLayout(("batch", "model"), mesh)
for dtype in ("float32", "bfloat16", "float8_e4m3fn"):
    seeds = keras.random.SeedGenerator(3)
    he = initializers.HeNormal(seed=seeds)
    variable = keras.Variable(he, shape=(8, 16), dtype=dtype, layout=layout)
    assert {shard.data.shape for shard in variable.value.addressable_shards} == {(4, 4)}
    drawn = "float32" if dtype == "float8_e4m3fn" else dtype
    expected = fastinit.he_normal((8, 16), seed=3, dtype=drawn).astype(variable.value.dtype)
    assert np.array_equal(np.asarray(variable.value).view("u1"), expected.view("u1"))
assert made == [(4, 4)] * 24, made
direct = initializers.HeNormal(seed=1)((8, 16), layout=layout.backend_layout)
assert np.array_equal(direct, fastinit.he_normal((8, 16), seed=1))
assert np.array_equal(initializers.HeNormal(seed=1)((8, 16), layout=layout), direct)
seeds = [fastinit.derive_seed(0, layer.kernel.path) for layer in model.layers]
assert np.array_equal(first, fastinit.he_normal((8, 16), seed=seeds[0]))
assert np.array_equal(second, fastinit.orthogonal((16, 16), seed=seeds[1]))
assert model(np.ones((2, 8), np.float32)).shape == (2, 16)
"""


def test_model_parallel_makes_each_part_alone():
    run_python(PARALLEL, timeout=120)


# Results.


@pytest.fixture
def one_thread_of_torch():
    """On several threads, products of so small matrices take minutes on a busy machine."""
    if BACKEND != "torch":
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread_of_torch")
def test_a_network_learns_as_well_as_with_keras():
    """Train on the digits of scikit-learn, over ten seeds.

    Both accuracies vary with the seed by some 0.6%, so the means of ten by 0.2% each; the mean of
    ours is lower than Keras's by more than 1.2% less than once in 1e4 runs if the initializers are
    equally good.  The seeds are fixed.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)

    def accuracy(module, seed):
        keras.utils.set_random_seed(seed)
        layers = [
            keras.layers.Dense(64, activation="relu", kernel_initializer=module.HeNormal()),
            keras.layers.Dense(64, activation="relu", kernel_initializer=module.HeNormal()),
            keras.layers.Dense(10, kernel_initializer=module.GlorotUniform()),
        ]
        model = keras.Sequential([keras.Input((64,)), *layers])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        model.fit(x[:1200], y[:1200], batch_size=50, epochs=15, verbose=0)
        return model.evaluate(x[1200:], y[1200:], verbose=0)[1]

    ours = np.array([accuracy(initializers, seed) for seed in range(10)])
    theirs = np.array([accuracy(keras.initializers, seed) for seed in range(10)])
    assert ours.mean() >= theirs.mean() - 0.012, (ours, theirs)
    assert ours.mean() > 0.9
