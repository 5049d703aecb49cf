"""Rows by 64-bit keys."""

import pickle
import re
from collections.abc import Container, Iterable

import ml_dtypes  # noqa: F401  # registers bfloat16
import numpy as np
import pytest
import reference
from fills import FLOATS, assert_same_bits

import fastinit
from fastinit import initializers
from fastinit.initializers._catalog import CATALOG

INTEGERS = "keys must be an integer or an array of integers, received "
KEYS = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1, 0x9E3779B97F4A7C15, 1], "uint64")
SEED = 0x0123456789ABCDEF
RANDOM = {
    "uniform": initializers.RandomUniform(-0.3, 1.1, SEED),
    "normal": initializers.RandomNormal(0.1, 0.7, SEED),
    "truncated": initializers.TruncatedNormal(0.1, 0.7, SEED),
    "between": initializers.TruncatedNormal(0.1, 0.7, SEED, lower=-1, upper=4),
}
PARAMETERS = {"uniform": (-0.3, 1.1), "between": (0.1, 0.7, -1.0, 4.0)}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("distribution", RANDOM)
def test_rows_are_the_references(distribution, dtype):
    found = RANDOM[distribution].keyed(13, dtype)[KEYS]
    parameters = PARAMETERS.get(distribution, (0.1, 0.7))
    expected = [
        [
            reference.keyed_element(distribution, dtype, SEED, int(key), column, *parameters)
            for column in range(13)
        ]
        for key in KEYS
    ]
    assert_same_bits(found, np.array(expected, dtype))


@pytest.mark.parametrize("distribution", RANDOM)
@pytest.mark.parametrize("dim", [1, 3, 64, 600, 40000])
def test_rows_do_not_depend_on_each_other(distribution, dim):
    rows = RANDOM[distribution].keyed(dim)
    whole = rows[KEYS]
    assert whole.shape == (7, dim)
    assert_same_bits(whole[1], whole[6])
    assert len({row.tobytes() for row in whole}) == 6 or dim == 1
    assert_same_bits(rows[KEYS[::-1]], whole[::-1])
    assert_same_bits(rows[KEYS[3:4]], whole[3:4])
    assert_same_bits(rows[KEYS.reshape(7, 1)], whole.reshape(7, 1, dim))
    assert_same_bits(RANDOM[distribution].keyed(dim // 2)[KEYS], whole[:, : dim // 2])
    threads = fastinit.get_num_threads()
    try:
        fastinit.set_num_threads(1)
        assert_same_bits(rows[KEYS], whole)
    finally:
        fastinit.set_num_threads(threads)


def test_keys_in_all_their_forms():
    rows = RANDOM["normal"].keyed(5)
    whole = rows[KEYS]
    assert_same_bits(rows[KEYS.view("int64")], whole)
    assert_same_bits(rows[[int(key) for key in KEYS]], whole)
    assert_same_bits(rows[[int(key) for key in KEYS.view("int64")]], whole)
    assert_same_bits(rows[2**64 - 1], whole[4])
    assert_same_bits(rows[-1], whole[4])
    assert_same_bits(rows[KEYS[4]], whole[4])
    assert_same_bits(rows[np.array([0, 1], "int8")], whole[:2])
    assert_same_bits(rows[np.array([-1], "int32")], whole[4:5])
    assert_same_bits(rows[KEYS[::2]], whole[::2])  # not contiguous
    assert rows[[]].shape == (0, 5)
    assert rows[np.empty((2, 0), "uint64")].shape == (2, 0, 5)
    assert RANDOM["normal"].keyed(0)[KEYS].shape == (7, 0)


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ([2**64], ValueError, "a key must fit into 64 bits, received 18446744073709551616"),
        (-(2**63) - 1, ValueError, "a key must fit into 64 bits"),
        ([0.5], TypeError, f"{INTEGERS}[0.5]"),
        (np.array([0.5]), TypeError, f"{INTEGERS}float64"),
        (np.array([True]), TypeError, f"{INTEGERS}bool"),
        (np.float32(1), TypeError, f"{INTEGERS}float32"),
        (slice(3), TypeError, f"{INTEGERS}slice(None, 3, None)"),
        (slice(None), TypeError, f"{INTEGERS}slice(None, None, None)"),
        (..., TypeError, f"{INTEGERS}Ellipsis"),
        ("user", TypeError, f"{INTEGERS}'user'"),
        (["user"], TypeError, f"{INTEGERS}['user']"),
        (None, TypeError, f"{INTEGERS}None"),
        ([[1], [2, 3]], TypeError, f"{INTEGERS}[[1], [2, 3]]"),
        ([1, [2, 3]], TypeError, f"{INTEGERS}[1, [2, 3]]"),
    ],
)
def test_wrong_keys(keys, error, message):
    rows = RANDOM["normal"].keyed(5)
    for ask in (lambda: rows[keys], lambda: rows.read(keys, np.empty((1, 5), "float32"))):
        with pytest.raises(error, match=re.escape(message)):
            ask()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (iter, "'KeyedArray' object is not iterable"),
        (reversed, "KeyedArray"),
        (lambda rows: 7 in rows, "KeyedArray"),
        (lambda rows: zip(rows, [1], strict=True), "'KeyedArray' object is not iterable"),
        (np.asarray, r"a KeyedArray has no size: keyed\[keys\] makes the rows of some keys"),
        (lambda rows: np.ones(5, "float32") + rows, "a KeyedArray has no size"),
        (lambda rows: rows[rows], "a KeyedArray has no size"),
        (len, "KeyedArray"),
    ],
)
def test_a_table_has_no_size(ask, message):
    """Nothing iterates over the rows 0, 1, 2 and so on, nor treats the table as a scalar object."""
    for initializer in (RANDOM["normal"], initializers.Ones()):
        rows = initializer.keyed(5)
        with pytest.raises(TypeError, match=message):
            ask(rows)
    assert not isinstance(rows, (Iterable, Container))


@pytest.mark.parametrize(
    ("dim", "error", "message"),
    [
        (-1, ValueError, r"dim must be from 0 to 2\*\*32, received -1"),
        (2**32 + 1, ValueError, "dim must be from 0"),
        (1.5, TypeError, "dim must be an integer, received 1.5"),
        (True, TypeError, "dim must be an integer, received True"),
        ((3,), TypeError, "dim must be an integer"),
    ],
)
def test_wrong_dims(dim, error, message):
    for initializer in (*RANDOM.values(), initializers.Constant(2)):
        with pytest.raises(error, match=message):
            initializer.keyed(dim)


def test_read():
    rows = RANDOM["truncated"].keyed(5, "bfloat16")
    out = np.empty((7, 5), rows.dtype)
    assert rows.read(KEYS, out) is out
    assert_same_bits(out, rows[KEYS])
    memory = bytearray(out.nbytes)
    assert rows.read(KEYS, memory) is memory
    assert memory == out.tobytes()
    before = out.copy()
    for wrong, error in (
        (out[:6], ValueError),
        (out.astype("float32"), TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match="out"):
            rows.read(KEYS, wrong)
    assert_same_bits(out, before)


def test_constants():
    assert_same_bits(initializers.Zeros().keyed(3)[KEYS], np.zeros((7, 3), "float32"))
    assert_same_bits(initializers.Ones().keyed(3, "int16")[5], np.ones(3, "int16"))
    rows = initializers.Constant([1, 2, 3]).keyed(3, "float64")
    assert_same_bits(rows[KEYS], np.tile([1.0, 2.0, 3.0], (7, 1)))
    with pytest.raises(ValueError, match="value must be a scalar or an array of the shape"):
        initializers.Constant([1, 2]).keyed(3)


def has_keyed(cls):
    return cls.keyed is not initializers.Initializer.keyed


@pytest.mark.parametrize("cls", [e.cls for e in CATALOG if not has_keyed(e.cls)])
def test_what_has_no_rows_by_key(cls):
    """The message names all initializers that have them."""
    with pytest.raises(NotImplementedError, match=f"{cls.__name__} has no rows by key") as caught:
        initializers.Initializer.keyed(object.__new__(cls), 3)
    named = re.findall(r"[A-Z]\w+", str(caught.value).partition(". ")[2])
    assert set(named) == {e.cls.__name__ for e in CATALOG if has_keyed(e.cls)}


def test_seeds_are_drawn_once():
    fresh = initializers.RandomNormal()
    rows = fresh.keyed(4)
    assert_same_bits(rows[KEYS], rows[KEYS])
    assert (rows[KEYS] != fresh.keyed(4)[KEYS]).any()
    other = initializers.RandomNormal(0.1, 0.7, SEED + 1).keyed(4)[KEYS]
    assert (other != RANDOM["normal"].keyed(4)[KEYS]).all()


def test_pickles_and_names():
    rows = RANDOM["between"].keyed(5)
    assert_same_bits(pickle.loads(pickle.dumps(rows))[KEYS], rows[KEYS])
    assert repr(rows).startswith("KeyedArray(dim=5, dtype=float32, RandomSource(")
    state = rows.__getstate__()
    with pytest.raises(ValueError, match="pickled with stream version 2"):
        rows.__setstate__({**state, "stream_version": 2})
