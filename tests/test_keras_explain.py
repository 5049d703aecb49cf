"""Test fastinit.keras.explain on whatever backend Keras is set to, against NumPy."""

import math
import os
import sys
import warnings

import numpy as np
import pytest

import fastinit

os.environ.setdefault("KERAS_BACKEND", "jax")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

    from fastinit._cli.main import main
    from fastinit.keras import explain, scope

pytestmark = [
    pytest.mark.integration,
    # What Keras and its backends warn of on the way is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

layers = keras.layers


def normals(*shape, seed=5):
    return fastinit.random_normal(shape, stddev=1.0, seed=seed)


def numpy_of(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def outputs(report):
    return {output.name.rpartition("/")[2]: output for output in report.outputs}


def all_values(model):
    return [numpy_of(variable).copy() for variable in model.variables]


def assert_same(before, after):
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, other)


def deep(activation, count=20, width=128):
    with scope(seed=0):
        model = keras.Sequential(
            [
                layers.Dense(width, activation, kernel_initializer="he_normal", name=f"layer_{n}")
                for n in range(count)
            ]
        )
        model.build((None, width))
    return model


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def gelu_slope(x):
    return gelu(x) / x + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(
    ("name", "function", "slope", "vanishes"),
    [
        ("gelu", gelu, gelu_slope, True),
        ("relu", lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0), False),
    ],
)
def test_deep_layers_with_he(name, function, slope, vanishes):
    count = 30 if vanishes else 20
    activation = (lambda x: keras.activations.gelu(x, approximate=False)) if vanishes else name
    if vanishes:
        activation.__name__ = "gelu"
    model, x = deep(activation, count), normals(32, 128)
    report = explain(model, x)
    matrices = [numpy_of(layer.kernel).astype(float) for layer in model.layers]
    before, after = [], [x.astype(float)]
    for matrix in matrices:
        before.append(after[-1] @ matrix)
        after.append(function(before[-1]))
    seed = fastinit.derive_seed(0, "cotangent()")
    back = [fastinit.random_normal((32, 128), stddev=1.0, seed=seed).astype(float)]
    for matrix, z in zip(matrices[:0:-1], before[:0:-1], strict=True):
        back.append(back[-1] * slope(z) @ matrix.T)
    assert len(report.outputs) == count
    for output, value, gradient in zip(report.outputs, after[1:], back[::-1], strict=True):
        assert output.stddev == pytest.approx(value.std(), rel=1e-3)
        assert output.gradient == pytest.approx(gradient.std(), rel=1e-3)
        assert output.shape == (32, 128)
    text = " ".join(report.warnings)
    assert ("activations vanish" in text) == vanishes
    assert ("for gelu a gain of 1.468 keeps" in text) == vanishes
    assert report.notes == ()
    for weight, matrix in zip(report.weights, matrices, strict=True):
        assert (weight.fan_in, weight.fan_out) == (128, 128)
        assert weight.stddev == pytest.approx(matrix.std(), rel=1e-9)
        assert weight.relative_to_he == pytest.approx(1, rel=0.05)


@keras.saving.register_keras_serializable("test_keras_explain")
class Block(keras.Model):
    """A subclass with a layer that is called twice, dropout, and a dictionary as output."""

    def __init__(self):
        super().__init__()
        self.embed = layers.Embedding(11, 6, name="embed")
        self.twice = layers.Dense(6, name="twice")
        self.norm = layers.BatchNormalization(name="norm")
        self.drop = layers.Dropout(0.5)
        self.relu = layers.ReLU(name="relu")

    def call(self, ids):
        x = self.twice(self.twice(self.embed(ids)))
        x = self.relu(self.drop(self.norm(x)))
        return {"ids": ids, "values": (x, x * 2)}


IDS = np.arange(12).reshape(3, 4) % 11


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_as_it_was(built, training):
    model = Block()
    if built:
        model(IDS)
        before = all_values(model)
    report = explain(model, IDS, training=training)
    if not built:
        before = all_values(model)
        for variable in model.norm.non_trainable_variables:
            assert set(numpy_of(variable).ravel()) <= {0.0, 1.0}
    assert explain(model, IDS, training=training) == report  # dropout, too
    other = outputs(explain(model, IDS, training=training, seed=1))
    assert (other["relu"].stddev == outputs(report)["relu"].stddev) is not training
    assert_same(before, all_values(model))
    for layer in (model, model.embed, model.twice, model.drop):
        assert "call" not in vars(layer)
    found = outputs(report)
    assert found["twice"].calls == 2
    assert found["twice"].shape == (3, 4, 6)
    assert found[""].shape == (3, 4, 6)
    assert "dropout" not in found
    assert all(output.gradient > 0 for output in report.outputs)
    table = numpy_of(model.embed.embeddings)[IDS].astype(float)
    kernel = numpy_of(model.twice.kernel).astype(float)
    both = np.stack([table @ kernel, table @ kernel @ kernel])
    assert found["embed"].stddev == pytest.approx(table.std(), rel=1e-5)
    assert found["twice"].stddev == pytest.approx(both.std(), rel=1e-3)
    zeros = 0.75 if training else 0.5
    assert 0 <= found["relu"].dead < zeros


def test_the_model_is_as_it_was_after_an_error():
    model = Block()
    model(IDS)
    before = all_values(model)

    def fails(output):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        explain(model, IDS, loss=fails)
    assert_same(before, all_values(model))
    assert not any("call" in vars(layer) for layer in (model, model.embed, model.twice))


def test_a_loss():
    model = keras.Sequential([layers.Dense(5, name="only")])
    x = normals(7, 3)
    report = explain(model, x, loss=lambda y: keras.ops.sum(keras.ops.square(y)))
    values = x.astype(float) @ numpy_of(model.layers[0].kernel)
    (output,) = report.outputs
    assert output.gradient == pytest.approx(2 * values.std(), rel=1e-3)
    with pytest.raises(ValueError, match="loss must return a tensor of one element"):
        explain(model, x, loss=lambda y: y)


def test_fans_follow_the_layer():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(6, 3, groups=2, name="conv")(inputs)
    x = layers.Conv2DTranspose(10, (3, 1), name="up")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.SeparableConv2D(6, 3, name="separable")(x)
    x = layers.Reshape((-1, 6))(x)
    x = layers.MultiHeadAttention(3, 4, value_dim=5, name="attention")(x, x)
    x = layers.LayerNormalization(axis=(1, 2), name="norm")(x)
    x = layers.GRU(7, name="gru")(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    fans = {w.name: (w.fan_in, w.fan_out) for w in explain(model).weights}
    assert fans == {
        "conv/kernel": (9 * 2, 9 * 3),
        "up/kernel": (3 * 6, 3 * 10),
        "depthwise/kernel": (9, 9 * 2),
        "separable/depthwise_kernel": (9, 9),
        "separable/pointwise_kernel": (20, 6),
        "attention/query/kernel": (6, 12),
        "attention/key/kernel": (6, 12),
        "attention/value/kernel": (6, 15),
        "attention/attention_output/kernel": (15, 6),
        "norm/gamma": (None, None),
        "norm/beta": (None, None),
        "gru/gru_cell/kernel": (6, 21),
        "gru/gru_cell/recurrent_kernel": (7, 21),
        "head/kernel": (7, 2),
    } | {name: (None, None) for name in fans if name.startswith("norm/")}
    (embedding,) = explain(keras.Sequential([keras.Input((3,)), layers.Embedding(9, 5)])).weights
    assert (embedding.fan_in, embedding.fan_out) == (1, 5)


def test_nested_models_and_recurrent_layers():
    inner = keras.Sequential([layers.Dense(6, "tanh", name="inner")], name="nested")
    inputs = keras.Input((5, 4))
    x = layers.LSTM(3, return_sequences=True, name="lstm")(inner(inputs))
    model = keras.Model(inputs, layers.TimeDistributed(layers.Dense(2), name="last")(x))
    report = explain(model, normals(8, 5, 4))
    found = outputs(report)
    assert found["inner"].gradient > 0
    assert found["lstm"].shape == (8, 5, 3)
    assert found["last"].gradient == pytest.approx(1, rel=0.2)
    assert "nested" not in found


def test_zeros_equal_weights_and_dead_relus():
    model = keras.Sequential(
        [layers.Dense(16, "relu", kernel_initializer="he_normal", name=f"d{n}") for n in range(4)]
    )
    model.build((None, 16))
    same = fastinit.he_normal((16, 16), seed=1)
    model.layers[0].kernel.assign(same)
    model.layers[1].kernel.assign(same)
    model.layers[2].kernel.assign(np.zeros((16, 16), "float32"))
    model.layers[3].bias.assign(np.full(16, -1.0, "float32"))
    report = explain(model, normals(32, 16))
    paths = [layer.kernel.path for layer in model.layers]
    names = [layer.path for layer in model.layers]
    assert report.warnings == (
        f"all values are 0 in {paths[2]}",
        f"the values are equal in {paths[0]}, {paths[1]}: does one seed serve several layers?",
        f"all values are equal in the output of {names[2]}, {names[3]}",
        f"more than 80% of the outputs are 0 for all examples in {names[2]}, {names[3]}",
    )


def test_values_that_are_not_finite():
    model = deep("relu", 3)
    kernel = numpy_of(model.layers[1].kernel).copy()
    kernel[0, 0] = np.nan
    model.layers[1].kernel.assign(kernel)
    warned = explain(model, normals(4, 128)).warnings
    assert warned[0] == f"NaN or Inf in {model.layers[1].kernel.path}"
    assert warned[1] == f"NaN or Inf in the outputs, first in that of {model.layers[1].path}"


def test_mixed_precision():
    model = keras.Sequential([layers.Dense(8, "relu", dtype="mixed_bfloat16") for _ in range(2)])
    found = explain(model, normals(4, 8))
    assert [output.calls for output in found.outputs] == [1, 1]
    assert all(output.gradient > 0 for output in found.outputs)


def test_errors():
    with pytest.raises(TypeError, match=r"must be a keras\.Model or a layer, received int"):
        explain(3)
    with pytest.raises(ValueError, match="model must be built, or inputs be given"):
        explain(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(ValueError, match="loss must not be given without inputs"):
        explain(deep("relu", 1), loss=keras.ops.sum)
    with pytest.raises(TypeError, match="loss must be a function"):
        explain(deep("relu", 1), normals(1, 128), loss=3)


def test_the_table_is_narrow():
    report = explain(deep("relu", 3), normals(4, 128))
    lines = str(report).splitlines()
    assert len(lines) == 8 + len(report.warnings)
    assert max(map(len, lines)) < 100
    assert "layer_2/kernel" in lines[3]


def test_the_command(tmp_path, monkeypatch, capsys):
    """Keras's models are found on every backend: with PyTorch's they are modules of it, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "made_of_keras.py").write_text(
        "import keras\n"
        "model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, name='only')])\n"
        "make = lambda: (model, keras.ops.ones((3, 5)))\n"
    )
    assert main(["explain", "--model", "made_of_keras:make"]) == 0
    from made_of_keras import model

    assert capsys.readouterr().out == f"{explain(model, keras.ops.ones((3, 5)))}\n"
