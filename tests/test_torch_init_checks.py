"""What fastinit.torch.init takes and refuses, and what it leaves unchanged, as PyTorch does."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode

import fastinit
import fastinit.torch
from fastinit.torch import _tensors, init

pytestmark = [pytest.mark.integration]

NAN = float("nan")
INF = float("inf")

# All functions that draw, and all that do not, with what they need besides the tensor.
DRAWS = {
    "uniform_": (),
    "normal_": (),
    "trunc_normal_": (),
    "xavier_uniform_": (),
    "xavier_normal_": (),
    "kaiming_uniform_": (),
    "kaiming_normal_": (),
    "variance_scaling_": (),
    "lecun_normal_": (),
    "orthogonal_": (),
    "sparse_": (0.5,),
}
OTHERS = {"constant_": (0.5,), "ones_": (), "zeros_": (), "eye_": ()}


def test_the_tables_have_all_functions():
    assert {*DRAWS, *OTHERS, "dirac_", "calculate_gain"} == set(init.__all__)


def fill(name, tensor, **source):
    arguments = DRAWS[name] if name in DRAWS else OTHERS[name]
    result = getattr(init, name)(tensor, *arguments, **source)
    assert result is tensor
    return result


def words_of(generator):
    low, high = (int(torch.randint(1 << 32, (), generator=generator)) for _ in range(2))
    return low | high << 32


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_advances_and_gives_the_seed(name):
    generator, same = (torch.Generator().manual_seed(7) for _ in range(2))
    state = torch.get_rng_state()
    first, second = (fill(name, torch.zeros(6, 5), generator=generator) for _ in range(2))
    assert not torch.equal(first, second)
    for tensor in (first, second):
        assert torch.equal(tensor, fill(name, torch.zeros(6, 5), seed=words_of(same)))
    assert torch.equal(generator.get_state(), same.get_state())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", DRAWS)
def test_manual_seed_governs_where_nothing_is_given(name):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        found = [fill(name, torch.zeros(6, 5)) for _ in range(2)]
        after = torch.get_rng_state()
        torch.manual_seed(7)
        expected = [fill(name, torch.zeros(6, 5), seed=words_of(None)) for _ in range(2)]
        assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(*found)
    assert all(map(torch.equal, found, expected))


def next_key(generator):
    return int(generator.integers(2**64 - 1, dtype=np.uint64, endpoint=True))


def test_generators_of_other_libraries_are_seeds():
    for make in (fastinit.SeedGenerator, np.random.default_rng):
        seeds, same = make(3), make(3)
        for name in ("normal_", "orthogonal_", "sparse_", "trunc_normal_"):
            key = same.next() if make is fastinit.SeedGenerator else next_key(same)
            expected = fill(name, torch.zeros(5, 4), seed=key)
            assert torch.equal(fill(name, torch.zeros(5, 4), seed=seeds), expected)
    assert torch.equal(
        init.normal_(torch.zeros(3), seed=np.int64(4)), init.normal_(torch.zeros(3), seed=4)
    )


def test_the_generator_may_be_given_by_its_place():
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    found = init.trunc_normal_(torch.zeros(9), 0.0, 1.0, -2.0, 2.0, generators[0])
    expected = init.trunc_normal_(torch.zeros(9), generator=generators[1])
    assert torch.equal(found, expected)


WRONG = {
    "uniform_ upside down": (lambda t, **k: init.uniform_(t, 1, 0, **k), "a must be <= b"),
    "uniform_ of NaN": (lambda t, **k: init.uniform_(t, NAN, 0, **k), "a must be <= b"),
    "uniform_ without end": (lambda t, **k: init.uniform_(t, 0, INF, **k), "b must be finite in f"),
    "uniform_ too wide": (
        lambda t, **k: init.uniform_(t, -3e38, 3e38, **k),
        "b - a must be finite",
    ),
    "uniform_ of a text": (lambda t, **k: init.uniform_(t, "0", **k), "a must be a number"),
    "normal_ below 0": (lambda t, **k: init.normal_(t, 0, -1, **k), "std must be >= 0"),
    "normal_ of NaN": (lambda t, **k: init.normal_(t, 0, NAN, **k), "std must be >= 0"),
    "normal_ at infinity": (lambda t, **k: init.normal_(t, INF, **k), "mean must be finite in f"),
    "normal_ too wide": (lambda t, **k: init.normal_(t, 0, 1e38, **k), "mean - 14 * std must be"),
    "normal_ of None": (lambda t, **k: init.normal_(t, None, **k), "mean must be a number"),
    "trunc_normal_ upside down": (
        lambda t, **k: init.trunc_normal_(t, 0, 1, 2, 1, **k),
        "a must be <= b, received a=2.0, b=1.0",
    ),
    "trunc_normal_ below 0": (
        lambda t, **k: init.trunc_normal_(t, 0, -1, **k),
        "std must be >= 0, received -1.0",
    ),
    "one value, below 0": (
        lambda t, **k: init.trunc_normal_(t, 0, -1, 1, 1, **k),
        "std must be >= 0, received -1.0",
    ),
    "trunc_normal_ of NaN": (
        lambda t, **k: init.trunc_normal_(t, 0, NAN, **k),
        "std must be >= 0, received nan",
    ),
    "trunc_normal_ around NaN": (
        lambda t, **k: init.trunc_normal_(t, NAN, **k),
        "mean must be finite in float32, received nan",
    ),
    "trunc_normal_ without width": (
        lambda t, **k: init.trunc_normal_(t, 0, INF, **k),
        "std must be finite in float32, received inf",
    ),
    "trunc_normal_ at infinity": (
        lambda t, **k: init.trunc_normal_(t, 0, 1, INF, INF, **k),
        "a must be finite in float32, received inf",
    ),
    "trunc_normal_ below float32": (
        lambda t, **k: init.trunc_normal_(t, 0, 1e38, -1e40, -1e39, **k),
        "b must be finite in float32, received -1e+39",
    ),
    "trunc_normal_ too far": (
        lambda t, **k: init.trunc_normal_(t, 0, 1e-35, 1, 2, **k),
        "a and b must not both lie too many standard deviations from the mean, received mean=0.0",
    ),
    "trunc_normal_ of a text": (
        lambda t, **k: init.trunc_normal_(t, 0, 1, "-1", **k),
        "a must be a number",
    ),
    "xavier_uniform_ below 0": (
        lambda t, **k: init.xavier_uniform_(t, -1, **k),
        "gain must be >= 0, received -1.0",
    ),
    "xavier_normal_ below 0": (
        lambda t, **k: init.xavier_normal_(t, -1, **k),
        "gain must be >= 0, received -1.0",
    ),
    "xavier_normal_ without end": (
        lambda t, **k: init.xavier_normal_(t, INF, **k),
        "std must be finite in float32, received inf",
    ),
    "xavier_uniform_ without end": (
        lambda t, **k: init.xavier_uniform_(t, 1e39, **k),
        "bound must be finite in float32",
    ),
    "another mode": (
        lambda t, **k: init.kaiming_normal_(t, mode="fan_avg", **k),
        "mode must be one of fan_in, fan_out, received 'fan_avg'",
    ),
    "a mode that is no text": (
        lambda t, **k: init.kaiming_uniform_(t, mode=["fan_in"], **k),
        "mode must be one of fan_in, fan_out, received ['fan_in']",
    ),
    "another nonlinearity": (
        lambda t, **k: init.kaiming_uniform_(t, nonlinearity="swish", **k),
        "Unsupported nonlinearity swish",
    ),
    "a slope that is no number": (
        lambda t, **k: init.kaiming_normal_(t, "0", **k),
        "negative_slope 0 not a valid number",
    ),
    "a scale of 0": (
        lambda t, **k: init.variance_scaling_(t, 0, **k),
        "scale must be > 0, received 0.0",
    ),
    "a mode of Keras": (
        lambda t, **k: init.variance_scaling_(t, 1, "fan_geo_avg", **k),
        "mode must be one of fan_in, fan_out, fan_avg, received 'fan_geo_avg'",
    ),
    "a list as mode": (lambda t, **k: init.variance_scaling_(t, 1, [1], **k), "mode must be one"),
    "another distribution": (
        lambda t, **k: init.variance_scaling_(t, distribution="untruncated_normal", **k),
        "distribution must be 'truncated_normal', 'normal' or 'uniform', received 'untruncated",
    ),
    "orthogonal_ without end": (
        lambda t, **k: init.orthogonal_(t, INF, **k),
        "gain must be finite in float32",
    ),
    "sparse_ above 1": (lambda t, **k: init.sparse_(t, 1.5, **k), "sparsity must be from 0 to 1"),
    "sparse_ of NaN": (lambda t, **k: init.sparse_(t, NAN, **k), "sparsity must be from 0 to 1"),
    "sparse_ below 0": (lambda t, **k: init.sparse_(t, 0.5, -1, **k), "std must be >= 0"),
    "sparse_ too wide": (lambda t, **k: init.sparse_(t, 0.5, 1e38, **k), "* std must be finite"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_change_nothing(case):
    call, message = WRONG[case]
    generator = torch.Generator().manual_seed(1)
    states = generator.get_state(), torch.get_rng_state()
    seeds = fastinit.SeedGenerator(1)
    # A tensor on meta or without elements has the same checks of its arguments.
    for tensor in (
        torch.full((3, 4), 9.0),
        torch.full((4, 3), 9.0).t(),
        torch.zeros(3, 4).to("meta"),
    ):
        version = tensor._version
        for source in ({"generator": generator}, {"seed": seeds}, {}):
            with pytest.raises((ValueError, TypeError), match=re.escape(message)):
                call(tensor, **source)
        assert tensor._version == version
        assert tensor.is_meta or (tensor == 9).all()
    assert torch.equal(generator.get_state(), states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    assert seeds.next() == fastinit.SeedGenerator(1).next()


def vmapped(function):
    return torch.vmap(function, randomness="different")(torch.zeros(2, 3, 4))


class Wrapper(torch.Tensor):
    """A tensor without memory of its own, which stands for another tensor."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("it was used")


def inference_tensor():
    with torch.inference_mode():
        return torch.zeros(3, 4)


DTYPE = "tensor must have dtype float32, float64, float16 or bfloat16, received"
REFUSED = {
    "a list": (lambda: [[0.0]], TypeError, "tensor must be a torch.Tensor, received list"),
    "an array": (lambda: np.zeros((3, 4)), TypeError, "tensor must be a torch.Tensor, received nd"),
    "None": (lambda: None, TypeError, "tensor must be a torch.Tensor, received NoneType"),
    "integers": (lambda: torch.zeros(3, 4, dtype=torch.int64), TypeError, f"{DTYPE} torch.int64"),
    "booleans": (lambda: torch.zeros(3, 4, dtype=torch.bool), TypeError, f"{DTYPE} torch.bool"),
    "complex numbers": (
        lambda: torch.zeros(3, 4, dtype=torch.complex64),
        TypeError,
        f"{DTYPE} torch.complex64",
    ),
    "8 bits": (
        lambda: torch.zeros(3, 4).to(torch.float8_e4m3fn),
        TypeError,
        f"{DTYPE} torch.float8_e4m3fn",
    ),
    "a sparse one": (
        lambda: torch.ones(3, 4).to_sparse(),
        ValueError,
        "tensor must be dense, received one of layout torch.sparse_coo",
    ),
    "an expanded one": (
        lambda: torch.zeros(4).expand(3, 4),
        RuntimeError,
        "more than one element of the written-to tensor",
    ),
    "one expanded along the last axis": (
        lambda: torch.zeros(3, 1).expand(3, 4),
        RuntimeError,
        "more than one element of the written-to tensor",
    ),
    "an inference tensor": (inference_tensor, RuntimeError, "outside of torch.inference_mode()"),
    "an UninitializedParameter": (
        torch.nn.UninitializedParameter,
        ValueError,
        "tensor must have a shape, received an UninitializedParameter: run its module once",
    ),
    "an UninitializedBuffer": (
        torch.nn.UninitializedBuffer,
        ValueError,
        "tensor must have a shape, received an UninitializedBuffer: run its module once",
    ),
    "a wrapper": (
        lambda: Wrapper(torch.zeros(3, 4)),
        TypeError,
        "tensor must have memory of its own, received a Wrapper",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_tensors(case, monkeypatch):
    make, error, message = REFUSED[case]
    monkeypatch.setattr(_tensors, "_TEMPORARY", 2)  # pieces of an expanded tensor are not expanded
    state = torch.get_rng_state()
    tensor = make()
    for name in DRAWS:
        with pytest.raises(error, match=re.escape(message)):
            fill(name, tensor)
    assert torch.equal(torch.get_rng_state(), state)
    if type(tensor) is torch.Tensor and tensor.layout == torch.strided:
        assert not tensor.contiguous().view(torch.uint8).any()
    if error is TypeError and not isinstance(tensor, torch.Tensor):
        for name in OTHERS:
            with pytest.raises(error, match=re.escape(message)):
                fill(name, tensor)
        with pytest.raises(error, match=re.escape(message)):
            init.dirac_(tensor)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused():
    for layout in (torch.strided, torch.jagged):
        parts = [torch.zeros(2, 3), torch.zeros(4, 3)]
        nested = torch.nested.nested_tensor(parts, layout=layout)
        for name in DRAWS:
            with pytest.raises(ValueError, match="tensor must be dense, received a nested one"):
                fill(name, nested, seed=1)


@pytest.mark.parametrize("name", DRAWS)
def test_transforms_are_refused(name):
    message = r"must not be one that torch\.vmap or another transform of torch\.func passes"
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match=message):
        vmapped(lambda tensor: fill(name, tensor))
    with pytest.raises(RuntimeError, match=message):
        torch.func.grad(lambda tensor: fill(name, tensor.clone(), seed=1).sum())(torch.zeros(3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    # A tensor that is made inside is not one of the transform.
    found = vmapped(lambda tensor: tensor + fill(name, torch.zeros(3, 4), seed=1))
    assert torch.equal(found[1], fill(name, torch.zeros(3, 4), seed=1))


def test_too_few_dimensions():
    for shape in ((), (5,)):
        for name in DRAWS.keys() - {"uniform_", "normal_", "trunc_normal_"}:
            with pytest.raises(ValueError, match=r"tensor must have 2 .*received shape \("):
                fill(name, torch.zeros(shape), seed=1)
        with pytest.raises(ValueError, match="2 dimensions"):
            init.eye_(torch.zeros(shape))
    with pytest.raises(
        ValueError, match=r"tensor must have 2 dimensions, received shape \(2, 3, 4"
    ):
        init.sparse_(torch.zeros(2, 3, 4), 0.5)


def test_seed_and_generator_are_refused_together():
    generator = torch.Generator().manual_seed(1)
    state = generator.get_state()
    for name in DRAWS:
        tensor = torch.full((3, 4), 9.0)
        with pytest.raises(ValueError, match="seed and generator must not be given together"):
            fill(name, tensor, seed=1, generator=generator)
        with pytest.raises(TypeError, match=r"generator must be a torch\.Generator, received 1"):
            fill(name, tensor, generator=1)
        with pytest.raises(TypeError, match="seed must be an integer"):
            fill(name, tensor, seed=generator)
        with pytest.raises(ValueError, match="seed must be in 0 <= seed < 2"):
            fill(name, tensor, seed=-1)
        assert (tensor == 9).all()
        assert tensor._version == 0
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("name", [*DRAWS, *OTHERS])
def test_versions_and_gradients(name):
    for make in (
        lambda: torch.zeros(3, 4),
        lambda: torch.zeros(4, 3).t(),
        lambda: torch.zeros(6, 8)[::2, ::2],
        lambda: torch._neg_view(torch.zeros(3, 4)),
        lambda: torch.nn.Buffer(torch.zeros(3, 4)),
    ):
        tensor = make()
        version = tensor._version
        fill(name, tensor)
        assert tensor._version > version
        assert not tensor.requires_grad

    parameter = torch.nn.Parameter(torch.zeros(3, 4))
    parameter.register_hook(lambda gradient: pytest.fail("there is no gradient"))
    parameter.register_post_accumulate_grad_hook(lambda _: pytest.fail("there is no gradient"))
    fill(name, parameter)
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert parameter.grad is None
    assert parameter.detach().any() or name == "zeros_"

    # What was saved for a gradient is gone, which PyTorch must know.
    for leaf in (torch.ones(3, 4, requires_grad=True), torch.ones(4, 3, requires_grad=True)):
        weight = leaf if leaf.shape == (3, 4) else leaf.t()
        loss = (weight * weight).sum()
        fill(name, weight)
        assert weight.is_leaf == (weight is leaf)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@pytest.mark.parametrize("name", [*DRAWS, *OTHERS])
def test_inference_mode(name):
    source = {"seed": 1} if name in DRAWS else {}
    expected = fill(name, torch.zeros(3, 4), **source)
    outside, state = torch.zeros(3, 4), torch.get_rng_state()
    with torch.inference_mode():
        for tensor in (torch.zeros(3, 4), torch.zeros(4, 3).t(), outside):
            assert torch.equal(fill(name, tensor, **source), expected)
    assert not outside.is_inference()
    if name in DRAWS:
        tensor = inference_tensor()
        with pytest.raises(RuntimeError, match="inference"):
            fill(name, tensor)
        assert not tensor.any()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", [*DRAWS, *OTHERS])
def test_meta_and_fake_tensors_are_left_alone(name):
    state = torch.get_rng_state()
    parameter = torch.nn.Parameter(torch.empty(3, 4, device="meta"))
    fill(name, parameter)
    assert parameter.is_meta
    assert parameter.requires_grad
    with FakeTensorMode() as mode:
        inside = fill(name, torch.empty(3, 4))
    for tensor in (inside, mode.from_tensor(torch.empty(4, 3)).t()):
        assert type(tensor).__name__ == "FakeTensor"
        if name in DRAWS:  # PyTorch's own need the mode
            fill(name, tensor, seed=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_empty_tensor_is_left_alone():
    state = torch.get_rng_state()
    for shape in ((0, 3), (3, 0), (0, 0), (2, 0, 3)):
        for name in DRAWS:
            if name == "sparse_" and len(shape) != 2:
                continue
            tensor = torch.zeros(shape, requires_grad=True)
            if name.startswith("kaiming"):
                message = "Initializing zero-element tensors is a no-op"
                with pytest.warns(UserWarning, match=message) as record:
                    fill(name, tensor)
                assert [Path(warning.filename).name for warning in record] == [Path(__file__).name]
            else:
                fill(name, tensor)
    for name in ("uniform_", "normal_", "trunc_normal_"):
        fill(name, torch.zeros(0))
    assert torch.equal(torch.get_rng_state(), state)


class Subclass(torch.Tensor):
    """A tensor with memory, whose functions must not be called."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} was called")


@pytest.mark.parametrize("name", DRAWS)
def test_subclasses_with_memory_are_filled(name):
    memory = torch.zeros(3, 4)
    for tensor in (memory.as_subclass(Subclass), memory.t().contiguous().t().as_subclass(Subclass)):
        fill(name, tensor, seed=1)
        with torch._C.DisableTorchFunction():
            assert torch.equal(tensor, fill(name, torch.zeros(3, 4), seed=1))


def test_a_default_device_does_not_matter():
    expected = init.normal_(torch.zeros(5, device="cpu"), generator=torch.Generator())
    orthogonal = init.orthogonal_(torch.zeros(3, 3), seed=1)
    with torch.device("meta"):
        found = init.normal_(torch.zeros(5, device="cpu"), generator=torch.Generator("cpu"))
        assert torch.equal(found, expected)
        assert torch.equal(init.orthogonal_(torch.zeros(3, 3, device="cpu"), seed=1), orthogonal)


def test_default_dtype_does_not_matter():
    expected = [fill(name, torch.zeros(4, 4), generator=torch.Generator()) for name in DRAWS]
    torch.set_default_dtype(torch.float64)
    try:
        for name, tensor in zip(DRAWS, expected, strict=True):
            found = torch.zeros(4, 4, dtype=torch.float32)
            assert torch.equal(fill(name, found, generator=torch.Generator()), tensor)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "function", [init.normal_, init.trunc_normal_, init.orthogonal_, init.xavier_uniform_]
)
def test_wrong_seeds_where_there_is_nothing_to_fill(function):
    for tensor in (torch.empty(3, 4, device="meta"), torch.empty(0, 4)):
        with pytest.raises(ValueError, match="seed must be in"):
            function(tensor, seed=-1)
        with pytest.raises(TypeError, match=r"generator must be a torch\.Generator, received 3"):
            function(tensor, generator=3)
        with pytest.raises(ValueError, match="must not be given together"):
            function(tensor, seed=1, generator=torch.Generator())
