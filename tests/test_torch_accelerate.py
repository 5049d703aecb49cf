"""accelerate: PyTorch's initializations take this library's values, and nothing else changes."""

import copy
import os
import sys
import threading
import types

import numpy as np
import pytest
import torch
from processes import run_python
from torch import nn
from torch.nn.init import (
    kaiming_normal_,
    kaiming_uniform_,
    normal_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
)

import fastinit
import fastinit.torch
from fastinit.torch import accelerate, init

pytestmark = [pytest.mark.integration]


def seed_of(draw, seed=0):
    return fastinit.derive_seed(seed, str(draw))


def same(tensor, array):
    return np.array_equal(tensor.detach().numpy(), array)


def bits_of(module):
    return [tensor.detach().clone() for tensor in module.state_dict().values()]


# A call of PyTorch's, by a name that was imported early, and what it is to do to a tensor.
CALLS = {
    "uniform_": (lambda t: uniform_(t, -1, 3), lambda t, s: init.uniform_(t, -1, 3, seed=s)),
    "normal_": (lambda t: normal_(t, 1, 2), lambda t, s: init.normal_(t, 1, 2, seed=s)),
    "trunc_normal_": (
        lambda t: trunc_normal_(t, 0.5, 2, a=-1, b=4),
        lambda t, s: init.trunc_normal_(t, 0.5, 2, -1, 4, seed=s),
    ),
    "xavier_uniform_": (
        lambda t: xavier_uniform_(t, gain=2),
        lambda t, s: init.xavier_uniform_(t, 2, seed=s),
    ),
    "xavier_normal_": (xavier_normal_, lambda t, s: init.xavier_normal_(t, seed=s)),
    "kaiming_uniform_": (
        lambda t: kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"),
        lambda t, s: init.kaiming_uniform_(t, 0, "fan_out", "relu", seed=s),
    ),
    "kaiming_normal_": (kaiming_normal_, lambda t, s: init.kaiming_normal_(t, seed=s)),
    "orthogonal_": (
        lambda t: orthogonal_(t, gain=2),
        lambda t, s: init.orthogonal_(t, 2, seed=s),
    ),
    "sparse_": (
        lambda t: sparse_(t, sparsity=0.3),
        lambda t, s: init.sparse_(t, 0.3, seed=s),
    ),
    "method normal_": (
        lambda t: t.normal_(1, std=2),
        lambda t, s: init.normal_(t, 1, 2, seed=s),
    ),
    "method uniform_": (
        lambda t: t.uniform_(to=3, **{"from": -1}),
        lambda t, s: init.uniform_(t, -1, 3, seed=s),
    ),
    "data.normal_": (lambda t: t.data.normal_(), lambda t, s: init.normal_(t, seed=s)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("call", CALLS)
def test_draw_n_has_the_seed_of_its_number(call, dtype):
    theirs, ours = CALLS[call]
    state = torch.get_rng_state()
    with accelerate(seed=7):
        for draw in range(3):
            tensor = torch.zeros(12, 5, dtype=dtype)
            result = theirs(tensor)
            if not call.startswith("data"):
                assert result is tensor
            expected = ours(torch.zeros(12, 5, dtype=dtype), seed_of(draw, 7))
            assert torch.equal(tensor, expected)
            assert tensor.any()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: torch.randn(3, 4), lambda s: fastinit.random_normal((3, 4), 0, 1, s)),
        (lambda: torch.randn((3, 4)), lambda s: fastinit.random_normal((3, 4), 0, 1, s)),
        (lambda: torch.randn(size=(3, 4)), lambda s: fastinit.random_normal((3, 4), 0, 1, s)),
        (lambda: torch.rand(5), lambda s: fastinit.random_uniform(5, 0, 1, s)),
        (
            lambda: torch.rand(5, dtype=torch.float64, requires_grad=True),
            lambda s: fastinit.random_uniform(5, 0, 1, s, "float64"),
        ),
        (
            lambda: torch.randn_like(torch.zeros(2, 3)),
            lambda s: fastinit.random_normal((2, 3), 0, 1, s),
        ),
        (
            lambda: torch.rand_like(torch.zeros(2, 3, dtype=torch.int32), dtype=torch.float32),
            lambda s: fastinit.random_uniform((2, 3), 0, 1, s),
        ),
        (
            lambda: torch.normal(2.0, 3.0, (2, 3)),
            lambda s: fastinit.random_normal((2, 3), 2, 3, s),
        ),
        (
            lambda: torch.normal(mean=2, std=3, size=(2, 3)),
            lambda s: fastinit.random_normal((2, 3), 2, 3, s),
        ),
        (lambda: torch.randn(()), lambda s: fastinit.random_normal((), 0, 1, s)),
    ],
)
def test_functions_that_return_new_tensors(make, expected):
    with accelerate(seed=0):
        first, second = make(), make()
    assert same(first, expected(seed_of(0)))
    assert same(second, expected(seed_of(1)))
    assert first.requires_grad == make().requires_grad


# What this library does not do exactly: it must be PyTorch's, value by value.
THEIRS = {
    "randint": lambda: torch.randint(10, (20,)),
    "randperm": lambda: torch.randperm(20),
    "bernoulli_": lambda: torch.zeros(20).bernoulli_(0.5),
    "exponential_": lambda: torch.zeros(20).exponential_(),
    "dropout": lambda: nn.functional.dropout(torch.ones(20)),
    "complex": lambda: torch.randn(20, dtype=torch.complex64),
    "complex normal_": lambda: torch.zeros(20, dtype=torch.complex64).normal_(),
    "generator": lambda: torch.randn(20, generator=torch.Generator().manual_seed(3)),
    "init generator": lambda: normal_(torch.zeros(20), generator=torch.Generator().manual_seed(3)),
    "kaiming generator": lambda: kaiming_uniform_(
        torch.zeros(4, 5), generator=torch.Generator().manual_seed(3)
    ),
    "trunc generator": lambda: trunc_normal_(
        torch.zeros(20), generator=torch.Generator().manual_seed(3)
    ),
    "orthogonal generator": lambda: orthogonal_(
        torch.zeros(4, 5), generator=torch.Generator().manual_seed(3)
    ),
    "method generator": lambda: torch.zeros(20).uniform_(
        generator=torch.Generator().manual_seed(3)
    ),
    "out": lambda: torch.randn(20, out=torch.zeros(20)),
    "tensors of means": lambda: torch.normal(torch.arange(20.0), 1.0),
    "vmap": lambda: torch.vmap(lambda x: x + torch.randn(3), randomness="different")(
        torch.zeros(4, 3)
    ),
}


@pytest.mark.parametrize("name", THEIRS)
def test_what_is_not_done_exactly_stays_pytorchs(name):
    torch.manual_seed(5)
    expected = THEIRS[name]()
    torch.manual_seed(5)
    with accelerate(seed=0):
        found = THEIRS[name]()
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda: normal_(torch.zeros(3), std=-1),
        lambda: torch.zeros(3).normal_(0, -1),
        lambda: torch.zeros(3).uniform_(1, 0),
        lambda: torch.zeros(3).normal_("a"),
        lambda: torch.zeros(3).uniform_(0, 1, 2),
        lambda: torch.zeros(3).uniform_(0, to=1, low=2),
        lambda: torch.zeros(3, requires_grad=True).normal_(),
        lambda: xavier_uniform_(torch.zeros(3)),
        lambda: kaiming_uniform_(torch.zeros(3, 4), mode="fan"),
        lambda: orthogonal_(torch.zeros(3)),
        lambda: sparse_(torch.zeros(3), 0.5),
        lambda: torch.zeros(3, dtype=torch.int32).normal_(),
        lambda: torch.randn(-1),
        lambda: torch.randn(3, dtype=torch.int32),
        lambda: torch.zeros(1).expand(3).normal_(),
    ],
)
def test_errors_are_pytorchs(call):
    with pytest.raises(Exception) as expected:  # noqa: PT011  # whatever PyTorch raises
        call()
    with accelerate(seed=0), pytest.raises(expected.type) as found:
        call()
    assert str(found.value) == str(expected.value)


def test_inference_tensors():
    with torch.inference_mode():
        tensor = torch.zeros(3)
    with accelerate(seed=0):
        with pytest.raises(RuntimeError, match="nference"):
            tensor.normal_()
        with torch.inference_mode():
            tensor.normal_()
    assert same(tensor, fastinit.random_normal(3, 0, 1, seed_of(0)))


def test_gradients_and_versions():
    weight = nn.Parameter(torch.zeros(3, 4))
    version = weight._version
    with accelerate(seed=0):
        normal_(weight)
        scaled = (weight * 2).sum()
        with torch.no_grad():
            weight.uniform_()
    assert weight.grad_fn is None
    assert weight.is_leaf
    assert weight._version > version
    scaled.backward()
    assert torch.equal(weight.grad, torch.full((3, 4), 2.0))
    squares = (weight * weight).sum()
    with accelerate(seed=0):
        normal_(weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()


def test_strides_do_not_matter():
    plain = torch.empty(6, 4, 3, 2)
    with accelerate(seed=0):
        plain.normal_()
    for tensor in (
        torch.empty(6, 4, 3, 2).to(memory_format=torch.channels_last),
        torch.empty(2, 3, 4, 6).permute(3, 2, 1, 0),
        torch.empty(6, 8, 3, 2)[:, ::2],
    ):
        assert not tensor.is_contiguous()
        with accelerate(seed=0):
            tensor.normal_()
        assert torch.equal(tensor, plain)


def test_meta_and_empty_tensors_draw_nothing():
    with accelerate(seed=0):
        with torch.device("meta"):
            layer = nn.Linear(3, 4)
            assert torch.randn(3).is_meta
        normal_(torch.empty(0, 3))
        torch.randn(0)
        found = torch.randn(3)
    assert layer.weight.is_meta
    assert same(found, fastinit.random_normal(3, 0, 1, seed_of(0)))


def test_fake_tensors_have_no_memory():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with accelerate(seed=0), FakeTensorMode():
        assert torch.randn(3).shape == (3,)
        assert nn.Linear(3, 4).weight.shape == (4, 3)


def test_default_dtype_is_heard():
    torch.set_default_dtype(torch.float64)
    try:
        with accelerate(seed=0):
            found = torch.rand(3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(found, fastinit.random_uniform(3, 0, 1, seed_of(0), "float64"))


MODELS = {
    "encoder": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2
    ),
    "transformer": lambda: nn.Transformer(16, 2, 1, 1, 32, batch_first=True),
    "lstm": lambda: nn.LSTM(5, 6, 2),
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose1d(3, 4, 3), nn.Bilinear(3, 4, 5)
    ),
    "embedding": lambda: nn.Sequential(
        nn.Embedding(7, 4, padding_idx=2), nn.EmbeddingBag(5, 3), nn.PReLU()
    ),
}


@pytest.mark.parametrize("model", MODELS)
def test_the_same_program_gives_the_same_model(model):
    state = torch.get_rng_state()
    with accelerate(seed=1):
        first = bits_of(MODELS[model]())
    with accelerate(seed=1):
        second = bits_of(MODELS[model]())
    with accelerate(seed=2):
        other = bits_of(MODELS[model]())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, first, second))
    assert not all(map(torch.equal, first, other))


@pytest.mark.parametrize("model", MODELS)
def test_layers_have_pytorchs_scale(model):
    """Compare standard deviations within 6 of their own: false alarms below 1e-6 in all."""
    torch.manual_seed(1)
    theirs = bits_of(MODELS[model]())
    with accelerate(seed=1):
        ours = bits_of(MODELS[model]())
    for their, our in zip(theirs, ours, strict=True):
        assert their.shape == our.shape
        if their.numel() > 30 and their.is_floating_point() and their.std() > 0:
            spread = 6 * (2 / their.numel()) ** 0.5
            assert abs(float(our.std() / their.std()) - 1) < spread
        elif their.numel() and not their.double().std(correction=0):
            assert torch.equal(their, our)


def test_padding_stays_zero():
    with accelerate(seed=0):
        layer = nn.Embedding(7, 4, padding_idx=2)
    assert not layer.weight[2].any()
    assert layer.weight[1].any()


CODES = [
    getattr(nn.init, name)
    for name in (
        *("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "orthogonal_", "sparse_"),
    )
]


def test_nothing_leaks_after_an_error():
    codes = [function.__code__ for function in CODES]
    state = torch.get_rng_state()

    def fail():
        with accelerate(seed=0):
            assert normal_.__code__ is not codes[1]
            normal_(torch.empty(3))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [function.__code__ for function in CODES] == codes
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.overrides._get_current_function_mode() is None
    torch.manual_seed(3)
    expected = torch.empty(5).normal_()
    torch.manual_seed(3)
    assert torch.equal(normal_(torch.empty(5)), expected)


def test_contexts_nest():
    with accelerate(seed=1):
        outer = [torch.randn(2)]
        with accelerate(seed=2):
            inner = [torch.randn(2), normal_(torch.empty(2))]
        outer.append(normal_(torch.empty(2)))
    for seed, found in ((1, outer), (2, inner)):
        for draw, tensor in enumerate(found):
            assert same(tensor, fastinit.random_normal(2, 0, 1, seed_of(draw, seed)))


def test_one_context_may_be_entered_again_and_decorate():
    context = accelerate(seed=4)
    with context:
        first = torch.randn(2)
        with context:
            inner = torch.randn(2)
        second = torch.randn(2)

    @accelerate(seed=4)
    def make():
        return torch.randn(2)

    assert same(first, fastinit.random_normal(2, 0, 1, seed_of(0, 4)))
    assert torch.equal(inner, first)
    assert torch.equal(make(), first)
    assert same(second, fastinit.random_normal(2, 0, 1, seed_of(1, 4)))


def test_other_threads_are_not_concerned():
    torch.manual_seed(9)
    expected = torch.randn(4)
    entered, done = threading.Event(), threading.Event()
    found = {}

    def inside():
        with accelerate(seed=0):
            entered.set()
            done.wait(60)
            found["inside"] = trunc_normal_(torch.empty(4))

    thread = threading.Thread(target=inside)
    thread.start()
    assert entered.wait(60)
    torch.manual_seed(9)
    found["outside"] = normal_(torch.empty(4))
    found["early"] = trunc_normal_(torch.empty(4))  # redirected, as the other thread is inside
    done.set()
    thread.join()
    assert torch.equal(found["outside"], expected)
    assert same(found["inside"], fastinit.truncated_normal(4, 0, 1, seed_of(0)))
    torch.manual_seed(9)
    torch.randn(4)
    assert torch.equal(found["early"], trunc_normal_(torch.empty(4)))


def test_two_threads_have_draws_of_their_own():
    barrier = threading.Barrier(2)
    found = {}

    def run(seed):
        with accelerate(seed=seed):
            for draw in range(200):
                if not draw % 50:
                    barrier.wait(60)
                found[seed, draw] = normal_(torch.empty(3)) if draw % 2 else torch.randn(3)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (seed, draw), tensor in found.items():
        assert same(tensor, fastinit.random_normal(3, 0, 1, seed_of(draw, seed)))
    assert len(found) == 400


def test_functions_of_this_library_take_the_contexts_seed():
    tensor, other = torch.empty(3, 4), torch.empty(3, 4)
    with accelerate(seed=0):
        init.normal_(tensor)
        init.normal_(other, seed=8)
        third = init.xavier_normal_(torch.empty(3, 4))
    assert same(tensor, fastinit.random_normal((3, 4), 0, 1, seed_of(0)))
    assert same(other, fastinit.random_normal((3, 4), 0, 1, 8))
    assert torch.equal(third, init.xavier_normal_(torch.empty(3, 4), seed=seed_of(1)))


def test_the_truncated_normals_of_timm(monkeypatch):
    module = types.ModuleType("timm.layers.weight_init")
    exec(  # a function of timm's signature, whose code can be replaced
        "def _trunc_normal_(tensor, mean, std, a, b):\n    return tensor.fill_(mean)\n",
        vars(module),
    )
    monkeypatch.setitem(sys.modules, "timm.layers.weight_init", module)
    early = module._trunc_normal_
    with accelerate(seed=0):
        found = early(torch.empty(50), 0.0, 1.0, -2.0, 2.0)
    assert same(found, fastinit.truncated_normal(50, 0, 1, seed_of(0)))
    assert torch.equal(early(torch.empty(5), 3.0, 1.0, -2.0, 2.0), torch.full((5,), 3.0))


def test_functions_of_other_signatures_are_left_alone(monkeypatch):
    module = types.ModuleType("timm.layers.weight_init")
    exec("def _trunc_normal_(tensor, bounds):\n    return tensor.normal_()\n", vars(module))
    monkeypatch.setitem(sys.modules, "timm.layers.weight_init", module)
    with accelerate(seed=0):
        found = module._trunc_normal_(torch.empty(5), None)
    assert same(found, fastinit.random_normal(5, 0, 1, seed_of(0)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(2.0**21).reshape(2048, 1024),
        lambda: torch.arange(2.0**21).reshape(1024, 2048).T,
        lambda: torch.arange(2.0**21, dtype=torch.bfloat16),
        lambda: torch.arange(2.0**22).reshape(2, -1)[:, ::2],
    ],
)
def test_large_copies(make):
    tensor = make()
    with accelerate(seed=0):
        copies = [tensor.clone(), torch.clone(tensor), copy.deepcopy(tensor)]
    expected = [tensor.clone(), torch.clone(tensor), copy.deepcopy(tensor)]
    for found, their in zip(copies, expected, strict=True):
        assert torch.equal(found, tensor)
        assert found.stride() == their.stride()
        assert found.data_ptr() != tensor.data_ptr()
    with accelerate(seed=0):
        weight = nn.Parameter(tensor.clone())
        assert weight.clone().grad_fn is not None
        assert type(copy.deepcopy(weight)) is nn.Parameter
        assert tensor.clone(memory_format=torch.contiguous_format).is_contiguous()


@pytest.mark.parametrize("seed", [-1, 1.5, "a", 2**64, True])
def test_bad_seeds(seed):
    with pytest.raises((TypeError, ValueError), match="seed must be"):
        accelerate(seed=seed)


def test_generators_of_seeds_advance():
    seeds = fastinit.SeedGenerator(1)
    context = accelerate(seeds)
    with context:
        first = torch.randn(3)
    with context:
        second = torch.randn(3)
    roots = fastinit.SeedGenerator(1)
    for found in (first, second):
        assert same(found, fastinit.random_normal(3, 0, 1, seed_of(0, roots.next())))


def test_transformers_models():
    import transformers

    sizes = {"n_layer": 2, "n_embd": 32, "n_head": 2, "vocab_size": 50, "n_positions": 8}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    state = torch.get_rng_state()
    models = []
    for _ in range(2):
        with accelerate(seed=0):
            models.append(transformers.GPT2LMHeadModel(config))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, *map(bits_of, models)))
    # Its residual projections have the standard deviation 0.02 / sqrt(2 * 2); 6 sigma.
    weight = models[0].transformer.h[1].mlp.c_proj.weight
    assert abs(float(weight.detach().std()) / 0.01 - 1) < 6 * (0.5 / weight.numel()) ** 0.5


def final_loss(seed, context):
    """Train a small network for some steps and return its loss."""
    data = torch.Generator().manual_seed(0)
    x = torch.randn(256, 8, generator=data)
    y = torch.sin(x.sum(1, keepdim=True))
    torch.manual_seed(seed)
    with context:
        model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_training_reaches_the_same_loss():
    """Compare the means over 16 seeds: 4.5 standard errors, a false alarm in 1e5 runs."""
    import contextlib

    theirs = [final_loss(seed, contextlib.nullcontext()) for seed in range(16)]
    ours = [final_loss(seed, accelerate(seed=seed)) for seed in range(16)]
    error = ((np.var(theirs, ddof=1) + np.var(ours, ddof=1)) / 16) ** 0.5
    assert abs(np.mean(theirs) - np.mean(ours)) < 4.5 * error
    assert len(set(ours)) == 16


class Ignored(torch.utils._python_dispatch.TorchDispatchMode):
    """A dispatch mode that sees operations and changes nothing."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_records_operations_sees_the_draws():
    def draw(x):
        return x + torch.randn(3) + uniform_(torch.zeros(3))

    with accelerate(seed=0):
        with Ignored() as mode:
            draw(torch.zeros(3))
        traced = torch.jit.trace(draw, torch.zeros(3), check_trace=False)
        large = torch.jit.trace(lambda x: x.clone() + 1, torch.zeros(2**21), check_trace=False)
    assert "aten::randn" in mode.seen
    assert "aten::uniform_" in mode.seen
    torch.manual_seed(1)
    expected = draw(torch.zeros(3))
    torch.manual_seed(1)
    assert torch.equal(traced(torch.zeros(3)), expected)
    assert large(torch.ones(4)).tolist() == [2.0] * 4


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_tangents_of_forward_differentiation_are_cleared():
    with torch.autograd.forward_ad.dual_level(), accelerate(seed=0):
        for fill in (normal_, torch.Tensor.uniform_, kaiming_uniform_):
            dual = torch.autograd.forward_ad.make_dual(torch.ones(3, 3), torch.ones(3, 3))
            fill(dual)
            assert not torch.autograd.forward_ad.unpack_dual(dual).tangent.any()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_tensors_without_plain_memory():
    with accelerate(seed=0):
        zeros = torch._efficientzerotensor(3)
        for fill in (normal_, torch.Tensor.normal_):
            with pytest.raises(RuntimeError, match="ZeroTensors are immutable"):
                fill(zeros)
        nested = torch.nested.nested_tensor([torch.ones(2**20), torch.ones(2**20)])
        assert nested.clone().is_nested
        freed = torch.empty(5000)
        freed.untyped_storage().resize_(0)
        with pytest.raises(RuntimeError, match="freed"):
            freed.normal_()
        found = torch.randn(3)
    assert same(found, fastinit.random_normal(3, 0, 1, seed_of(0)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("count", [6, 5000])
def test_misaligned_tensors(count, dtype):
    memory = bytearray(count * dtype.itemsize + 1)
    tensor = torch.frombuffer(memory, dtype=dtype, offset=1, count=count)
    with accelerate(seed=0):
        assert normal_(tensor) is tensor
    assert torch.equal(tensor, init.normal_(torch.empty(count, dtype=dtype), seed=seed_of(0)))
    assert memory[0] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_tensors_can_be_resized_afterwards(dtype):
    with accelerate(seed=0):
        tensors = [
            torch.randn(5000, dtype=dtype),
            trunc_normal_(torch.empty(5000, dtype=dtype), a=-1),
            torch.zeros(2**21, dtype=dtype).clone(),
        ]
    tensors.append(init.uniform_(torch.empty(5000, dtype=dtype), seed=1))
    for tensor in tensors:
        tensor.untyped_storage().resize_(0)
        assert tensor.untyped_storage().size() == 0


FORK = """
import os, sys
import torch
from fastinit.torch import accelerate

with accelerate(seed=0):
    child = os.fork()
    if not child:
        try:
            torch.manual_seed(3)
            found = [torch.randn(4), torch.nn.init.normal_(torch.empty(4))]
            torch.save(found, sys.argv[1])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    after = torch.randn(3)
torch.manual_seed(3)
for found in torch.load(sys.argv[1]):
    assert torch.equal(found, torch.randn(4))
print(*after.tolist())
"""


def test_the_child_of_a_fork_is_not_in_the_context(tmp_path):
    """The workers of a DataLoader seed PyTorch's generator: their numbers must differ."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    # JAX, which other tests import, warns of forks.
    after = run_python(FORK, tmp_path / "found").split()
    expected = fastinit.random_normal(3, 0, 1, seed_of(0))
    assert np.array_equal(np.array(after, "float32"), expected)


def test_functions_in_the_place_of_pytorchs_are_left_alone(monkeypatch):
    """guard_torch_init_functions of transformers puts such functions there while it loads."""
    theirs = nn.init.normal_

    def keeping(tensor, mean=0.0, std=1.0, generator=None):
        if not getattr(tensor, "_is_hf_initialized", False):
            theirs(tensor, mean, std, generator)
        return tensor

    loaded, fresh = torch.ones(3), torch.ones(3)
    loaded._is_hf_initialized = True
    monkeypatch.setattr(nn.init, "normal_", keeping)
    with accelerate(seed=0):
        nn.init.normal_(loaded)
        nn.init.normal_(fresh)
    assert torch.equal(loaded, torch.ones(3))
    assert same(fresh, fastinit.random_normal(3, 0, 1, seed_of(0)))


@pytest.mark.parametrize("late", [False, True])
def test_an_interrupt_leaves_no_mode(monkeypatch, late):
    codes = [function.__code__ for function in CODES]
    context = accelerate(seed=0)
    name = "__exit__" if late else "__enter__"
    run = getattr(torch.overrides.TorchFunctionMode, name)

    def interrupted(self, *args):
        if late:
            run(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch.overrides.TorchFunctionMode, name, interrupted)
        with pytest.raises(KeyboardInterrupt), context:
            pass
    assert [function.__code__ for function in CODES] == codes
    assert torch.overrides._get_current_function_mode() is None
    torch.manual_seed(3)
    found = init.normal_(torch.empty(3))
    torch.manual_seed(3)
    assert torch.equal(found, init.normal_(torch.empty(3)))  # no context gives the keys


@pytest.mark.parametrize("grad", [False, True])
def test_overlapping_tensors_draw_nothing(grad):
    tensor = torch.zeros(1, requires_grad=grad).expand(3)
    generator = torch.Generator().manual_seed(5)
    state = generator.get_state()
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        init.normal_(tensor, generator=generator)
    assert torch.equal(generator.get_state(), state)
    with accelerate(seed=0):
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            trunc_normal_(tensor.detach())
        found = torch.randn(3)
    assert same(found, fastinit.random_normal(3, 0, 1, seed_of(0)))


def test_what_cannot_be_decorated():
    def generator():
        yield torch.randn(2)

    async def coroutine():
        return torch.randn(2)

    class Model(nn.Module):
        pass

    for thing in (generator, coroutine, Model):
        with pytest.raises(TypeError, match="can decorate functions, but no classes"):
            accelerate(seed=0)(thing)
    with pytest.raises(TypeError, match=r"@accelerate\(\)"):
        accelerate(lambda: None)


def test_the_arguments_of_functions_are_as_before():
    import inspect

    before = [str(inspect.signature(function)) for function in CODES]
    with accelerate(seed=0):
        normal_(torch.empty(2))
    assert [str(inspect.signature(function)) for function in CODES] == before
    assert all(function.__kwdefaults__ is None for function in CODES)


def test_shards_get_their_part_of_the_whole():
    import torch.distributed as dist
    from torch.distributed.tensor import Shard, distribute_tensor

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = dist.init_device_mesh("cpu", (1,))
        shards = [distribute_tensor(torch.zeros(6, 4), mesh, [Shard(axis)]) for axis in (0, 1)]
        with accelerate(seed=0):
            shards[0].normal_()
            trunc_normal_(shards[1])
            orthogonal = orthogonal_(distribute_tensor(torch.zeros(6, 4), mesh, [Shard(0)]))
    finally:
        dist.destroy_process_group()
    assert same(shards[0].to_local(), fastinit.random_normal((6, 4), 0, 1, seed_of(0)))
    assert same(shards[1].to_local(), fastinit.truncated_normal((6, 4), 0, 1, seed_of(1)))
    assert same(orthogonal.to_local(), fastinit.orthogonal((6, 4), 1, seed_of(2)))
