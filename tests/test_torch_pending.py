"""Draws under accelerate that wait for the end of a constructor of transformers' models."""

import copy
import pickle

import pytest
import torch
import transformers
from torch import nn
from torch_models import gpt2, llama

import fastinit
from fastinit.torch import _pending, _tensors, accelerate, init, initialize

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
]
SHAPE = (96, 64)  # of more elements than are drawn at once


def seed_of(draw):
    return fastinit.derive_seed(0, str(draw))


def drawn(draw=0, shape=SHAPE):
    """Return what draw n of a linear layer's default initialization makes."""
    return init.kaiming_uniform_(torch.empty(shape), 5**0.5, seed=seed_of(draw))


class Model(transformers.PreTrainedModel):
    """A model whose constructor does something with a weight, once it is drawn."""

    config_class = transformers.PretrainedConfig

    def __init__(self, do, fails=False):
        super().__init__(transformers.PretrainedConfig())
        self.layer = nn.Linear(SHAPE[1], SHAPE[0], bias=False)
        self.found = do(self.layer.weight)
        if fails:
            raise KeyError
        self.post_init()


@pytest.fixture
def fills(monkeypatch):
    """Return the shapes that are filled, one after the other."""
    found = []
    fill = _tensors._fill

    def counted(tensor, *args):
        found.append(tuple(tensor.shape))
        fill(tensor, *args)

    monkeypatch.setattr(_tensors, "_fill", counted)
    return found


@pytest.mark.parametrize("build", [gpt2, llama])
def test_waiting_changes_no_value(build, monkeypatch, fills):
    monkeypatch.setattr(_tensors, "WORTH", 1)
    monkeypatch.setattr(_tensors, "fill_few", lambda *args: False)
    with accelerate(seed=0):
        waiting = build()
    made = len(fills)
    monkeypatch.setattr(_pending.Pending, "postpone", lambda *args: False)
    with accelerate(seed=0):
        at_once = build()
    assert made < (len(fills) - made) * 2 / 3  # the others were overwritten
    for (name, ours), theirs in zip(waiting.named_parameters(), at_once.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_an_overwritten_draw_is_not_made(fills):
    with accelerate(seed=0):
        model = Model(lambda weight: None)
    assert fills == [SHAPE]
    expected = init.normal_(torch.empty(SHAPE), 0, 0.02, seed=seed_of(1))
    assert torch.equal(model.layer.weight, expected)


READS = {
    "sum": lambda w: w.detach().sum(),
    "numpy": lambda w: torch.from_numpy(w.detach().numpy().copy()),
    "detach": lambda w: w.detach().clone(),
    "data": lambda w: w.data + 0,
    "row": lambda w: w.detach()[3].clone(),
    "item": lambda w: torch.tensor(w[3, 4].item()),
    "transposed": lambda w: w.detach().T.contiguous(),
    "another parameter": lambda w: nn.Parameter(w).detach().clone(),
    "bytes": lambda w: w.detach().view(torch.uint8).clone(),
    "deepcopy": lambda w: copy.deepcopy(w).detach(),
    "pickle": lambda w: pickle.loads(pickle.dumps(w)).detach(),
    "function": lambda w: nn.functional.linear(torch.ones(2, SHAPE[1]), w).detach(),
    "stack": lambda w: torch.stack([w.detach(), w.detach()]),
    "list": lambda w: torch.cat([w, w]).detach(),
    "aten": lambda w: torch.ops.aten.mul.Tensor(w.detach(), 2.0),
    "aten of the parameter": lambda w: torch.ops.aten.mul.Tensor(w, 2.0).detach(),
    "norm": lambda w: torch.linalg.norm(w).detach(),
    "tolist": lambda w: torch.tensor(w.tolist()),
    "dlpack": lambda w: torch.from_dlpack(w.detach()).clone(),
    "half": lambda w: w.half().detach(),
    "copied": lambda w: torch.zeros(SHAPE).copy_(w).detach(),
    "out": lambda w: torch.add(w.detach(), 1, out=torch.zeros(SHAPE)),
    "repr": lambda w: torch.tensor(len(repr(w))),
    "storage": lambda w: torch.tensor(list(w.untyped_storage()[:64])),
    "in place": lambda w: w.detach().mul_(2).clone(),
    "one element": lambda w: w.detach().index_fill_(0, torch.tensor([1]), 7.0).clone(),
    "foreach": lambda w: torch._foreach_add([w.detach()], 1.0)[0],
    "random copy": lambda w: w.detach().copy_(w.detach().flip(0)).clone(),
    "vmap": lambda w: torch.vmap(lambda row: row * 2)(w.detach()),
    "vmap of the parameter": lambda w: torch.vmap(lambda row: row.sum())(w).detach(),
    "grad": lambda w: torch.func.grad(lambda x: (x * x).sum())(w).detach(),
    "functionalize": lambda w: torch.func.functionalize(lambda x: x + 1)(w).detach(),
    "functional_call": lambda w: torch.func.functional_call(
        nn.Linear(SHAPE[1], SHAPE[0], bias=False), {"weight": w}, torch.ones(2, SHAPE[1])
    ).detach(),
    "script": lambda w: torch.jit.script(nn.Linear(3, 4)) and w.detach().clone(),
}


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", READS)
def test_what_reads_a_weight_finds_its_draw(name):
    read = READS[name]
    with accelerate(seed=0):
        model = Model(read)
    assert torch.equal(model.found, read(nn.Parameter(drawn())))


WRITES = {
    "zero_": lambda w: w.detach().zero_(),
    "zeros_": nn.init.zeros_,
    "constant_": lambda w: nn.init.constant_(w, 3.0),
    "fill_": lambda w: w.data.fill_(2.0),
    "eye_": nn.init.eye_,
    "ours": lambda w: init.normal_(w, seed=5),
    "generator": lambda w: nn.init.normal_(w, generator=torch.Generator().manual_seed(1)),
    "trunc": lambda w: init.trunc_normal_(w, seed=5),
    "orthogonal": lambda w: init.orthogonal_(w, seed=5),
    "transposed": lambda w: init.normal_(w.detach().T, seed=5),
    "array": lambda w: fastinit.random_normal(out=w, seed=4),
    "a row": lambda w: init.normal_(w.detach()[2], seed=4),
    "assigned": lambda w: w.detach().__setitem__(0, 4.0),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written_stays(name):
    """Let the model keep the weight, by the mark that transformers has for loaded ones."""

    def write(weight):
        weight._is_hf_initialized = True
        WRITES[name](weight)

    with accelerate(seed=0):
        model = Model(write)
    expected = nn.Parameter(drawn())
    WRITES[name](expected)
    assert torch.equal(model.layer.weight, expected)


def test_a_write_that_fails_keeps_the_draw():
    def write(weight):
        weight._is_hf_initialized = True
        for fail in (lambda: weight.fill_("a"), lambda: weight.normal_(0, -1)):
            with torch.no_grad(), pytest.raises((TypeError, RuntimeError)):
                fail()

    with accelerate(seed=0):
        model = Model(write)
    assert torch.equal(model.layer.weight, drawn())


def test_a_constructor_that_fails_leaves_draws():
    kept = []
    with accelerate(seed=0):
        with pytest.raises(KeyError):
            Model(kept.append, fails=True)
        after = nn.Linear(SHAPE[1], SHAPE[0], bias=False)
        second = Model(lambda weight: weight.detach().clone())
    assert torch.equal(kept[0], drawn())
    assert torch.equal(after.weight, drawn(1))
    assert torch.equal(second.found, drawn(2))


def test_an_error_in_the_context_leaves_draws():
    kept = []

    def fail():
        with accelerate(seed=0):
            Model(kept.append, fails=True)

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(kept[0], drawn())


def test_other_contexts_inside_a_constructor():
    def inner(weight):
        weight._is_hf_initialized = True
        with accelerate(seed=9):
            nn.init.normal_(weight)

    def named(weight):
        weight._is_hf_initialized = True
        holder = nn.Linear(SHAPE[1], SHAPE[0], bias=False)
        holder.weight = weight
        initialize(holder, seed=9, init={"*": init.normal_})

    for do, seed in (
        (inner, fastinit.derive_seed(9, "0")),
        (named, fastinit.derive_seed(9, "weight")),
    ):
        with accelerate(seed=0):
            model = Model(do)
        assert torch.equal(model.layer.weight, init.normal_(torch.empty(SHAPE), seed=seed))


def test_nothing_waits_outside_of_constructors(fills):
    with accelerate(seed=0):
        layer = nn.Linear(SHAPE[1], SHAPE[0], bias=False)
        assert fills == [SHAPE]
        Model(lambda weight: None)
        nn.init.normal_(layer.weight)
        assert len(fills) == 3


def test_memory_of_arrays_does_not_wait(fills):
    import numpy as np

    array = np.zeros(SHAPE, "float32")

    def fill(weight):
        parameter = nn.Parameter(torch.from_numpy(array))
        nn.init.normal_(parameter)
        return array.copy()

    with accelerate(seed=0):
        model = Model(fill)
    assert np.array_equal(model.found, fastinit.random_normal(SHAPE, 0, 1, seed_of(1)))


def test_nothing_leaks():
    base = transformers.PreTrainedModel
    before = base.__init__, base.post_init
    with accelerate(seed=0):
        assert base.__init__ is not before[0]
        Model(lambda weight: None)
    assert (base.__init__, base.post_init) == before


def test_parts_of_one_storage_do_not_wait():
    def fill(weight):
        both = torch.empty(2 * SHAPE[0], SHAPE[1])
        halves = [nn.Parameter(both[: SHAPE[0]]), nn.Parameter(both[SHAPE[0] :])]
        for half in halves:
            nn.init.normal_(half)
        return both.clone()

    with accelerate(seed=0):
        model = Model(fill)
    halves = [init.normal_(torch.empty(SHAPE), seed=seed_of(draw)) for draw in (1, 2)]
    assert torch.equal(model.found, torch.cat(halves))


def test_draws_wait_for_the_outermost_model(fills):
    class Outer(transformers.PreTrainedModel):
        config_class = transformers.PretrainedConfig

        def __init__(self):
            super().__init__(transformers.PretrainedConfig())
            self.inner = Model(lambda weight: None)
            self.layer = nn.Linear(SHAPE[1], SHAPE[0], bias=False)
            self.post_init()

    with accelerate(seed=0):
        Outer()
    assert fills == [SHAPE] * 2
