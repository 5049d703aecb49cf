"""Test fastinit.keras.scope on whatever backend Keras is set to."""

import copy
import os
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest
from processes import run_python

import fastinit

os.environ.setdefault("KERAS_BACKEND", "jax")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

    import fastinit.keras
    from fastinit.keras import initializers, scope

pytestmark = [
    pytest.mark.integration,
    # What Keras and its backends warn of on the way is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Dense = keras.layers.Dense


def numpy_of(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def kernel_of(layer, size=4):
    layer.build((None, size))
    return numpy_of(layer.kernel)


def build(extra=False, nested=True):
    """Return a model of layers with and without names, of names, defaults and nested layers."""
    inputs = keras.Input((5, 16))
    x = keras.layers.MultiHeadAttention(2, 8, name="attention")(inputs, inputs)
    if extra:
        x = Dense(16, name="extra")(x)
    x = Dense(8, kernel_initializer="he_normal")(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(4))(x)
    x = Residual(8)(x) if nested else x
    return keras.Model(inputs, Dense(3, kernel_initializer="Orthogonal", name="head")(x))


class Residual(keras.layers.Layer):
    """A layer without build(), whose weights Keras makes after it has traced the call."""

    def __init__(self, units):
        super().__init__()
        self.first, self.second = Dense(units), Dense(units)

    def call(self, x):
        return x + self.second(self.first(x))


def weights_of(model):
    return {v.path: numpy_of(v) for v in model.weights if "seed_generator" not in v.path}


def test_every_weight_has_the_seed_of_its_path():
    run_python(
        """
import numpy as np, keras, fastinit, fastinit.keras
with fastinit.keras.scope(seed=5):
    model = keras.Sequential([
        keras.Input((6,)),
        keras.layers.Dense(8),
        keras.layers.Dense(8, kernel_initializer="he_normal"),
        keras.layers.Dense(8, kernel_initializer="orthogonal", name="last"),
    ])
expected = {
    "sequential/dense/kernel": fastinit.glorot_uniform,
    "sequential/dense_1/kernel": fastinit.he_normal,
    "sequential/last/kernel": fastinit.orthogonal,
}
found = {v.path: v for v in model.weights if "kernel" in v.path}
assert found.keys() == expected.keys(), found.keys()
for path, function in expected.items():
    value = keras.ops.convert_to_numpy(found[path])
    assert np.array_equal(value, function(value.shape, seed=fastinit.derive_seed(5, path)))
for v in model.weights:
    if "bias" in v.path:
        assert not np.any(keras.ops.convert_to_numpy(v))
"""
    )


def test_all_weights_differ():
    with scope(seed=0):
        model = build()
    firsts = [w.ravel()[:6].tobytes() for path, w in weights_of(model).items() if "kernel" in path]
    assert len(firsts) == 12
    assert len(set(firsts)) == len(firsts)


def test_a_rerun_in_the_same_process_gives_the_same_weights():
    runs = []
    for _ in range(3):
        with scope(seed=0):
            runs.append(weights_of(build()))
        Dense(3), keras.layers.LSTM(3), keras.Sequential()  # which take numbers
    assert len({tuple(run) for run in runs}) == 3  # Keras gave other names to the layers
    for first, *others in zip(*(run.values() for run in runs), strict=True):
        for other in others:
            assert np.array_equal(first, other)


def test_adding_a_layer_changes_no_other():
    with scope(seed=0):
        before = weights_of(build())
    with scope(seed=0):
        after = weights_of(build(extra=True))
    extra = [path for path in after if path.startswith("extra")]
    assert len(extra) == 2
    for path in extra:
        del after[path]
    for first, second in zip(before.values(), after.values(), strict=True):
        assert np.array_equal(first, second)


def test_names_that_end_in_a_number_are_kept():
    def build():
        with scope(seed=0):
            layers = [Dense(4, name=f"dense_{n}") for n in range(1, 4)]
        return [kernel_of(layer) for layer in layers]

    keras.utils.clear_session()
    first = build()
    Dense(2), Dense(2)  # which are called dense and dense_1
    for before, after in zip(first, build(), strict=True):
        assert np.array_equal(before, after)


class Unnamed(keras.layers.Layer):
    """A layer whose weights have no name."""

    def build(self, input_shape):
        self.first = self.add_weight(shape=(input_shape[-1], 4))
        self.second = self.add_weight(shape=(4, 4))


def test_weights_without_a_name_are_counted_in_their_layer():
    runs = []
    for names in ("ab", "acb"):
        with scope(seed=0):
            layers = {name: Unnamed(name=name) for name in names}
            for layer in layers.values():
                layer.build((None, 4))
        runs.append([numpy_of(w) for name in "ab" for w in layers[name].weights])
    for first, second in zip(*runs, strict=True):
        assert np.array_equal(first, second)
    assert len({w.tobytes() for w in runs[0]}) == 4
    for n, path in enumerate(("a/variable", "a/variable//1")):
        seed = fastinit.derive_seed(0, path)
        assert np.array_equal(runs[0][n], fastinit.glorot_uniform((4, 4), seed=seed))


def test_two_draws_for_one_weight_differ():
    def both(shape, dtype=None):
        halves = [initializers.HeNormal()((4, 2), dtype) for _ in range(2)]
        return keras.ops.concatenate(halves, 1)

    with scope(seed=0):
        kernel = kernel_of(Dense(4, name="a", kernel_initializer=both))
    for n, path in enumerate(("a/kernel", "a/kernel//draw 1")):
        expected = fastinit.he_normal((4, 2), seed=fastinit.derive_seed(0, path))
        assert np.array_equal(kernel[:, 2 * n : 2 * n + 2], expected)


def test_a_cleared_session_counts_layers_anew():
    def build(clear):
        with scope(seed=0):
            if clear:
                keras.utils.clear_session()
            layers = [Dense(4, kernel_initializer=initializers.HeNormal()) for _ in range(4)]
            return [kernel_of(layer) for layer in layers]

    keras.utils.clear_session()
    first = build(clear=False)
    for before, after in zip(first, build(clear=True), strict=True):
        assert np.array_equal(before, after)


def test_another_seed_gives_other_weights():
    with scope(seed=0):
        first = kernel_of(Dense(4, name="a"))
    with scope(seed=1):
        second = kernel_of(Dense(4, name="a"))
    assert not np.array_equal(first, second)


def test_layers_of_one_name_differ():
    def pair():
        with scope(seed=0):
            return [kernel_of(Dense(4, name="same")) for _ in range(2)]

    runs = [pair(), pair()]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(*runs[0])
    seeds = [fastinit.derive_seed(0, path) for path in ("same/kernel", "same/kernel//1")]
    for found, seed in zip(runs[0], seeds, strict=True):
        assert np.array_equal(found, fastinit.glorot_uniform((4, 4), seed=seed))


def test_layers_may_be_built_after_the_context():
    with scope(seed=0):
        expected = kernel_of(Dense(4, name="a"))
    with scope(seed=0):
        layer = Dense(4, name="a")
        attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    assert np.array_equal(kernel_of(layer), expected)
    attention(keras.Input((3, 8)), keras.Input((3, 8)))
    for variable in attention.weights:
        if "kernel" in variable.path:
            inward = [0, 1] if "output" in variable.path else [0]
            outward = [axis for axis in range(3) if axis not in inward]
            seed = fastinit.derive_seed(0, variable.path)
            expected = fastinit.glorot_uniform(
                variable.shape, seed=seed, input_axes=inward, output_axes=outward
            )
            assert np.array_equal(numpy_of(variable), expected)


@pytest.mark.parametrize(
    "identifier",
    [
        "he_normal",
        "HeNormal",
        {"class_name": "HeNormal", "config": {}},
        initializers.HeNormal,
        lambda shape, dtype=None: initializers.get("he_normal")(shape, dtype),
    ],
    ids=["snake", "class", "dict", "type", "function"],
)
def test_identifiers(identifier):
    with scope(seed=0):
        found = kernel_of(Dense(4, name="a", kernel_initializer=identifier))
    seed = fastinit.derive_seed(0, "a/kernel")
    assert np.array_equal(found, fastinit.he_normal((4, 4), seed=seed))


def test_an_instance_that_is_made_inside():
    with scope(seed=0):
        initializer = initializers.HeNormal()
    layers = [Dense(4, name=name, kernel_initializer=initializer) for name in "ab"]
    for layer in layers:
        seed = fastinit.derive_seed(0, f"{layer.name}/kernel")
        assert np.array_equal(kernel_of(layer), fastinit.he_normal((4, 4), seed=seed))


def test_what_has_a_seed_or_was_made_outside_keeps_it():
    outside = initializers.HeNormal()
    theirs = keras.initializers.HeNormal(seed=3)
    with scope(seed=0):
        inside = initializers.HeNormal(seed=1)
        kernels = [kernel_of(Dense(4, kernel_initializer=i)) for i in (inside, outside, theirs)]
    assert np.array_equal(kernels[0], fastinit.he_normal((4, 4), seed=1))
    assert np.array_equal(kernels[1], fastinit.he_normal((4, 4), seed=outside.seed))
    assert np.array_equal(kernels[2], numpy_of(theirs((4, 4))))


def test_calls_that_initialize_no_weight():
    with scope(seed=0):
        initializer = initializers.get("he_normal")
        found = [numpy_of(initializer((4, 4))) for _ in range(2)]
    for n, values in enumerate(found):
        seed = fastinit.derive_seed(0, f"//call {n}")
        assert np.array_equal(values, fastinit.he_normal((4, 4), seed=seed))


def test_set_random_seed_decides_without_a_seed():
    found = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        with scope():
            found.append(kernel_of(Dense(4, name="a")))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_generator_advances_at_every_entry():
    again = fastinit.SeedGenerator(3)
    context = scope(seed=fastinit.SeedGenerator(3))
    for _ in range(2):
        with context:
            found = kernel_of(Dense(4, name="a"))
        seed = fastinit.derive_seed(again.next(), "a/kernel")
        assert np.array_equal(found, fastinit.glorot_uniform((4, 4), seed=seed))


def test_nested_contexts_end_on_an_error():
    def fails():
        with scope(seed=0):
            with scope(seed=1):
                found.append(kernel_of(Dense(4, name="a")))
            found.append(kernel_of(Dense(4, name="a")))
            assert type(Dense(4).kernel_initializer) is initializers.GlorotUniform
            raise ZeroDivisionError

    found = []
    with pytest.raises(ZeroDivisionError):
        fails()
    for seed, kernel in zip((1, 0), found, strict=True):
        expected = fastinit.derive_seed(seed, "a/kernel")
        assert np.array_equal(kernel, fastinit.glorot_uniform((4, 4), seed=expected))
    assert type(Dense(4).kernel_initializer) is keras.initializers.GlorotUniform
    assert initializers.HeNormal().get_config() == {
        "seed": None,
        "input_axes": None,
        "output_axes": None,
    }
    assert isinstance(initializers.HeNormal().seed, int)


def test_custom_objects_of_an_enclosing_scope_are_still_found():
    class Mine(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return keras.ops.ones(shape, dtype)

    with keras.saving.custom_object_scope({"Mine": Mine}):
        with scope(seed=0):
            assert isinstance(Dense(4, kernel_initializer="Mine").kernel_initializer, Mine)
            assert isinstance(initializers.get("Mine"), Mine)
        assert isinstance(Dense(4, kernel_initializer="Mine").kernel_initializer, Mine)


def test_it_decorates_a_function():
    @scope(seed=0)
    def made():
        return kernel_of(Dense(4, name="a"))

    assert np.array_equal(made(), made())


def test_one_context_in_two_threads():
    shared = scope(seed=1)
    entered, leave = threading.Event(), threading.Event()
    found = []

    def other():
        with scope(seed=2):
            with shared:
                entered.set()
                leave.wait(60)
            found.append(kernel_of(Dense(4, name="a")))

    thread = threading.Thread(target=other)
    with shared:
        thread.start()
        assert entered.wait(60)
    assert type(Dense(4).kernel_initializer) is keras.initializers.GlorotUniform
    leave.set()
    thread.join()
    seed = fastinit.derive_seed(2, "a/kernel")
    assert np.array_equal(found[0], fastinit.glorot_uniform((4, 4), seed=seed))


def test_a_scope_keeps_no_local_of_a_caller_alive():
    class Big:
        pass

    with scope(seed=0):
        initializer = initializers.HeNormal()

    def caller():
        big = Big()
        reference = weakref.ref(big)
        kernel_of(Dense(4, kernel_initializer=initializer))
        del big
        return reference() is None

    assert caller()


def test_other_threads_are_not_affected():
    found = []

    def other():
        found.append(type(Dense(4).kernel_initializer))

    with scope(seed=0):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert found == [keras.initializers.GlorotUniform]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_keep_the_seeds(copied):
    with scope(seed=0):
        initializer = initializers.HeNormal()
    layer = Dense(4, name="a", kernel_initializer=copied(initializer))
    seed = fastinit.derive_seed(0, "a/kernel")
    assert np.array_equal(kernel_of(layer), fastinit.he_normal((4, 4), seed=seed))


def test_a_model_that_was_built_inside_is_saved(tmp_path):
    with scope(seed=0):
        model = build(nested=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for first, second in zip(weights_of(model).values(), weights_of(loaded).values(), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (1 << 64, ValueError), (0.5, TypeError), ("0", TypeError)]
)
def test_wrong_seeds(seed, error):
    with pytest.raises(error, match="seed must be"):
        scope(seed=seed)


def test_importing_without_keras_names_the_extra():
    run_python(
        """
import sys
sys.modules["keras"] = None
import fastinit
try:
    import fastinit.keras
except ModuleNotFoundError as error:
    assert "extra 'keras'" in str(error), error
else:
    raise AssertionError
"""
    )


def test_an_old_keras_is_refused():
    run_python(
        """
import sys, types
sys.modules["keras"] = types.SimpleNamespace(__version__="3.9.2")
try:
    import fastinit.keras
except ImportError as error:
    assert "3.15" in str(error) and "3.9.2" in str(error), error
else:
    raise AssertionError
"""
    )
