import copy
import json
import pickle
import threading

import numpy as np
import pytest

import fastinit
from fastinit import initializers


def test_derived_seeds_never_change():
    # BLAKE2b as the docstring states it; computed once with hashlib, the same for ever.
    known = {
        (0, "dense/kernel"): 2559848656971532190,
        (0, "dense/bias"): 17782646877097474767,
        (1, "dense/kernel"): 12756998603932495822,
        (2**64 - 1, ""): 4744123312951378524,
        (7, "слой/Ядро"): 9663537262890458705,
    }
    assert {case: fastinit.derive_seed(*case) for case in known} == known


def test_derived_seeds_differ():
    roots = [*range(10), *(1 << bit for bit in range(4, 64))]
    seeds = {fastinit.derive_seed(root, f"{i}") for root in roots for i in range(200)}
    assert len(seeds) == 14_000  # equal by chance: 5e-12
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) > 2**63


@pytest.mark.parametrize(
    ("root", "name", "error"),
    [
        *[(-1, "a", ValueError), (2**64, "a", ValueError), (None, "a", TypeError)],
        *[
            (True, "a", TypeError),
            (1.0, "a", TypeError),
            (1, b"a", TypeError),
            (1, None, TypeError),
        ],
    ],
)
def test_wrong_arguments_of_derive_seed(root, name, error):
    with pytest.raises(error, match=r"^(root|name) must be"):
        fastinit.derive_seed(root, name)


def test_generated_seeds_never_change():
    seeds = fastinit.SeedGenerator(1)
    assert [seeds.next() for _ in range(3)] == [
        4565729221084078860,
        17747125961318737218,
        8033627348621503709,
    ]


def test_a_root_repeats_and_none_does_not():
    def first(seed):
        return fastinit.SeedGenerator(seed).next()

    assert first(5) == first(5) == first(np.int64(5)) != first(6)
    assert first(None) != first(None)  # equal by chance: 2^-64


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (2**64, ValueError), (True, TypeError), (1.5, TypeError)]
)
def test_wrong_roots(seed, error):
    with pytest.raises(error, match="seed must be"):
        fastinit.SeedGenerator(seed)


def test_threads_get_all_seeds_once():
    seeds, drawn = fastinit.SeedGenerator(1), []
    start = threading.Barrier(8)

    def draw():
        start.wait()
        drawn.extend([seeds.next() for _ in range(1000)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = fastinit.SeedGenerator(1)
    assert sorted(drawn) == sorted(again.next() for _ in range(8000))


def test_copies_continue_and_configurations_start_again():
    seeds = fastinit.SeedGenerator(3, name="layers")
    first = seeds.next()
    for other in (pickle.loads(pickle.dumps(seeds)), copy.deepcopy(seeds), copy.copy(seeds)):
        assert other.next() == copy.copy(seeds).next() != first
    config = json.loads(json.dumps(seeds.get_config()))
    assert config == {"seed": 3, "name": "layers"}
    assert fastinit.SeedGenerator.from_config(config).next() == first
    assert repr(seeds) == "SeedGenerator(seed=3, name='layers')"
    assert repr(fastinit.SeedGenerator()) == "SeedGenerator(seed=None)"


def test_unseeded_instances_never_repeat():
    initializer = initializers.GlorotUniform()
    arrays = [initializer((100,)), initializer((100,)), initializers.GlorotUniform()((100,))]
    arrays += [initializer.clone()((100,)), fastinit.glorot_uniform((100,))]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert (a != b).mean() > 0.9  # equal by chance: 2^-64


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1, np.uint64(7)])
def test_seeded_instances_always_repeat(seed):
    initializer = initializers.GlorotUniform(seed=seed)
    first = initializer((100,))
    assert np.array_equal(first, initializer((100,)))
    assert np.array_equal(first, initializer.clone()((100,)))
    assert np.array_equal(first, fastinit.glorot_uniform((100,), seed=int(seed)))


@pytest.mark.parametrize("make", [fastinit.SeedGenerator, np.random.default_rng])
def test_a_shared_generator_gives_each_layer_other_values(make):
    def model(seeds):
        layers = [initializers.HeNormal(seed=seeds), initializers.HeNormal(seed=seeds)]
        layers.append(layers[0].clone())
        return [layer((50, 50)) for layer in (*layers, *layers)]

    arrays = model(make(1))
    assert len({array.tobytes() for array in arrays}) == 6
    for a, b in zip(arrays, model(make(1)), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(arrays[0], model(make(2))[0])


def test_a_numpy_generator_advances_by_one_64_bit_draw():
    a, b = np.random.default_rng(1), np.random.default_rng(1)
    drawn = fastinit.random_bits(8, seed=a)
    seed = int(b.integers(2**64 - 1, dtype=np.uint64, endpoint=True))
    assert np.array_equal(drawn, fastinit.random_bits(8, seed=seed))
    assert a.integers(2**32) == b.integers(2**32)


def test_nothing_advances_where_an_argument_is_wrong():
    seeds = fastinit.SeedGenerator(1)
    initializers.RandomNormal(seed=seeds)  # nor by making an initializer
    for call in (
        lambda: fastinit.random_normal((2,), stddev=-1.0, seed=seeds),
        lambda: fastinit.glorot_uniform((-1,), seed=seeds),
        lambda: fastinit.orthogonal((2,), seed=seeds),
        lambda: initializers.RandomUniform(1.0, 0.0, seed=seeds),
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            call()
    assert seeds.next() == fastinit.SeedGenerator(1).next()


class TwoWords:
    """A stand-in for keras.random.SeedGenerator; the words of some backends are signed."""

    def __init__(self, *words):
        self.words = words

    def next(self):
        return np.array(self.words)


def test_the_words_of_keras():
    for words, seed in (((5, 0), 5), ((5, 1), 5 + 2**32), ((-1, 1), 2**33 - 1)):
        expected = fastinit.random_bits(4, seed=seed)
        assert np.array_equal(fastinit.random_bits(4, seed=TwoWords(*words)), expected)


@pytest.mark.parametrize("seed", [True, 1.0, "1", [1], object(), np.random.RandomState(1)], ids=str)
@pytest.mark.parametrize("name", ["RandomNormal", "HeUniform", "Orthogonal"])
def test_wrong_types_of_seeds(name, seed):
    with pytest.raises(TypeError, match="seed must be"):
        getattr(initializers, name)(seed=seed)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match="seed must be"):
        initializers.RandomUniform(seed=seed)
