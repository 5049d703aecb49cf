"""Messages name what was received, and are a few lines at most whatever that is."""

import math
import re
import sys
from functools import partial
from inspect import signature

import numpy as np
import pytest

import fastinit
from fastinit import initializers
from fastinit._messages import shown, shown_text
from fastinit.initializers._catalog import CATALOG

LONGEST = 500  # characters: the longest messages list all names that are known

HUGE = 10**5000  # repr() of it is a ValueError
FIELDS = np.dtype([(f"field_{i}", "f4") for i in range(300)])


@pytest.mark.parametrize(
    "value",
    [
        3,
        -1.5,
        "text",
        b"text",
        None,
        True,
        (2, 3),
        [[1, 2], [3]],
        {"a": 1},
        2**64,
        math.nan,
        (1,) * 9,
    ],
    ids=repr,
)
def test_short_values_are_shown_as_they_are(value):
    assert shown(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (HUGE, "an integer of 16610 bits"),
        (-HUGE, "an integer of 16610 bits"),
        ((HUGE, 2), "(an integer of 16610 bits, 2)"),
        ("x" * 10**7, "'xxx"),
        (b"x" * 10**7, "b'xxx"),
        (bytearray(10**7), r"bytearray(b'\x00"),
        ((1,) * 10**6, "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ...)"),
        ([["x" * 100] * 100] * 100, "[['xxx"),
        (np.zeros((1000, 1000)), "ndarray of shape (1000, 1000)"),
        (np.zeros(3), "array([0., 0., 0.])"),
        (dict.fromkeys(range(10**6)), "{0: None, 1: None"),
    ],
    ids=lambda value: "",
)
def test_long_values_are_shortened(value, start):
    with np.printoptions(threshold=sys.maxsize):
        text = shown(value)
    assert text.startswith(start)
    assert len(text) <= 200
    assert "\n" not in text


def test_texts_are_shortened():
    assert shown_text("a text") == "a text"
    assert len(shown_text(FIELDS)) <= 200


BAD = {
    "a huge integer": HUGE,
    "a huge negative one": -HUGE,
    "a long string": "x" * 10**5,
    "long bytes": b"x" * 10**5,
    "an array": np.ones((100, 100)),
    "strings": np.full(2000, "text"),
    "fields": np.zeros(1, FIELDS),
    "a long list": ["text"] * 2000,
    "a long tuple": (-1,) * 2000,
    "a shape of many dimensions": (2,) * 2000,
    "a long dict": dict.fromkeys(range(2000)),
    "a dtype": FIELDS,
    "nested lists": [[["text"] * 20] * 20] * 20,
    "an object of a long name": type("x" * 10**5, (), {"__repr__": lambda self: "an object"})(),
}


def calls():
    """Yield (name, call of one argument) of every argument of every entry point."""
    shapes = {"stft": (8, 1, 5), "delta_orthogonal": (3, 4, 5)}
    for entry in CATALOG:
        function, shape = entry.function, shapes.get(entry.name, (8, 5))
        for name in signature(function).parameters:
            others = {} if name == "shape" else {"shape": shape}
            if name in ("input_axes", "output_axes"):
                others |= {"input_axes": (0,), "output_axes": (0,)}
            others.pop(name, None)
            yield (
                f"{entry.name}, {name}",
                lambda bad, function=function, name=name, others=others: function(
                    **{name: bad}, **others
                ),
            )
        for name in signature(entry.cls).parameters:
            others = {"output_axes": (0,)} if name == "input_axes" else {}
            others = {"input_axes": (0,)} if name == "output_axes" else others

            def make(bad, entry=entry, name=name, others=others, shape=shape):
                initializer = entry.cls(**{name: bad}, **others)
                initializer(shape)

            yield f"{entry.cls.__name__}, {name}", make
        if entry.name not in ("stft", "delta_orthogonal"):
            cls = partial(entry.cls, batch_axis=0) if entry.name == "orthogonal" else entry.cls
            yield f"{entry.name}, lazy shape", lambda bad, cls=cls: cls().lazy(bad)
            yield f"{entry.name}, lazy dtype", lambda bad, cls=cls: cls().lazy((3, 4, 5)[:2], bad)
    lazy = initializers.Ones().lazy((3, 4))
    keyed = initializers.RandomNormal(seed=1).keyed(4)
    random = initializers.RandomNormal(seed=1).lazy((3, 4))
    yield "random_bits, shape", lambda bad: fastinit.random_bits(bad)
    yield "random_bits, seed", lambda bad: fastinit.random_bits(4, bad)
    yield "random_bits, dtype", lambda bad: fastinit.random_bits(4, 1, bad)
    yield "random_bits, out", lambda bad: fastinit.random_bits(4, 1, out=bad)
    yield "an index", lambda bad: lazy[bad]
    yield "indices", lambda bad: lazy[0, bad]
    yield "rows", lambda bad: random[bad]
    yield "a list of rows", lambda bad: random[[bad]]
    yield "lazy.read", lambda bad: lazy.read(0, bad)
    yield "keys", lambda bad: keyed[bad]
    yield "a list of keys", lambda bad: keyed[[bad]]
    yield "keyed.read", lambda bad: keyed.read([1], bad)
    yield "dim", lambda bad: initializers.RandomNormal().keyed(bad)
    yield "keyed dtype", lambda bad: initializers.RandomNormal().keyed(4, bad)
    yield "root", lambda bad: fastinit.derive_seed(bad, "name")
    yield "SeedGenerator", lambda bad: fastinit.SeedGenerator(bad)
    yield "get", lambda bad: initializers.get(bad)((3, 4))
    yield "deserialize", lambda bad: initializers.deserialize(bad)
    yield "class_name", lambda bad: initializers.get({"class_name": bad})
    yield "custom", lambda bad: initializers.get({"class_name": bad, "module": None})
    yield "config", lambda bad: initializers.get({"class_name": "Zeros", "config": bad})
    yield "shape of get", lambda bad: initializers.get(np.ones(3))(bad)
    yield "serialize", lambda bad: initializers.serialize([bad])
    yield "for_activation", lambda bad: initializers.for_activation(bad)
    yield "distribution", lambda bad: initializers.for_activation("relu", bad)
    yield "gain", lambda bad: initializers.for_activation("relu", gain=bad)
    yield "negative_slope", lambda bad: initializers.for_activation("relu", negative_slope=bad)
    yield "explain", lambda bad: fastinit.explain(bad, (2, 2))
    yield "explained shape", lambda bad: fastinit.explain("he_normal", bad)
    yield "activation", lambda bad: fastinit.explain("he_normal", (2, 2), activation=bad)
    yield "depth", lambda bad: fastinit.explain("he_normal", (2, 2), depth=bad)
    yield "draws", lambda bad: fastinit.explain("he_normal", (2, 2), draws=bad)
    yield "kind", lambda bad: initializers.mup(bad, 2, 1)
    yield "width", lambda bad: initializers.mup("input", bad, 1)
    yield "n_layers", lambda bad: initializers.gpt2_residual(bad)
    yield "part", lambda bad: initializers.deepnorm(2, 2, bad)
    yield "show_config", lambda bad: fastinit.show_config(bad)
    yield "set_num_threads", lambda bad: fastinit.set_num_threads(bad)


CALLS = dict(calls())


@pytest.mark.filterwarnings("ignore:Conversion of an array")
@pytest.mark.parametrize("name", CALLS)
def test_messages_are_short(name):
    messages = []
    for bad in BAD.values():
        try:
            CALLS[name](bad)
        except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
            messages.append(str(error))
    assert messages
    for message in messages:
        assert len(message) <= LONGEST
        assert "\n" not in message
        assert "integer string conversion" not in message  # of Python, which names no argument
        assert "ambiguous" not in message  # of NumPy


def test_the_value_that_does_not_fit_is_named():
    values = np.arange(10_000_000, dtype=np.float32)
    message = "value must fit into int8, received 128.0 and 9999871 more that do not"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fastinit.constant(values.shape, values, "int8")
