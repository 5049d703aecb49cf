"""fastinit.torch.initialize in one process."""

import functools
import re

import numpy as np
import pytest
import torch
from meshes import assert_same_parts, digest, tensors
from processes import run_python
from torch import nn
from torch_models import MODELS, Encoder, Layers, Mixer, Pipeline, gpt2, llama, on_meta

import fastinit
from fastinit._seeds import derive_seed
from fastinit.torch import accelerate, init, initialize

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
]


@functools.cache
def expected(name, seed=3):
    return initialize(MODELS[name](), seed)


def poisoned(model):
    """Set all bits of a model's parameters, which makes NaN or -1 of them, and return the model."""
    for parameter in model.parameters():
        parameter.detach().view(-1).view(torch.uint8).fill_(0xFF)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_meta_and_memory_give_the_same(name):
    torch.manual_seed(1)
    model = initialize(poisoned(MODELS[name]()), 3)
    assert_same_parts(model, expected(name))
    assert_same_parts(initialize(on_meta(MODELS[name]), 3), expected(name))
    assert_same_parts(initialize(model, 3), expected(name))
    assert digest(initialize(model, 4)) != digest(expected(name))
    for key, tensor in tensors(model).items():
        assert torch.isfinite(tensor).all(), key


class Two(nn.Module):
    """Two parts, created in one order or the other, and perhaps another layer between them."""

    def __init__(self, reverse, more):
        super().__init__()
        parts = {"first": Encoder, "second": Layers}
        for name in sorted(parts, reverse=reverse):
            setattr(self, name, parts[name]())
            if more:
                setattr(self, f"after_{name}", Mixer())


@pytest.mark.parametrize(("reverse", "more"), [(True, False), (False, True), (True, True)])
def test_order_and_other_layers_do_not_count(reverse, more):
    base = initialize(Two(False, False), 3)
    other = initialize(on_meta(lambda: Two(reverse, more)), 3)
    assert_same_parts(base, other, some=True)


def test_stages_of_a_pipeline():
    whole = initialize(Pipeline(), 3)
    for stages in (2, 3, 5):
        names = set()
        for stage in range(stages):
            part = initialize(on_meta(lambda stage=stage: Pipeline(stage, stages)), 3)  # noqa: B023
            assert_same_parts(part, whole, some=True)
            names |= set(tensors(part))
        assert names == set(tensors(whole))


def as_array(tensor):
    return tensor.detach().numpy()


def test_the_seeds_are_those_that_the_documentation_says():
    model = nn.ModuleDict({"a": nn.Linear(3, 4), "norm": nn.LayerNorm(4), "m": Mixer()})
    initialize(model, 9)
    bound = 1 / np.sqrt(3)
    for name, shape in (("a.weight", (4, 3)), ("a.bias", (4,))):
        values = fastinit.random_uniform(shape, -bound, bound, seed=derive_seed(9, name))
        assert np.array_equal(as_array(model.get_parameter(name)), values)
    assert (model.norm.weight == 1).all()

    def twice(module):
        for parameter in module.parameters(recurse=False):
            nn.init.uniform_(parameter)
            nn.init.normal_(parameter, std=2)
            torch.randn(2)
        module.drawn = torch.randn(3)

    initialize(model, 9, twice)
    root = derive_seed(9, "m.states")
    values = fastinit.random_normal((5, 3), stddev=2, seed=derive_seed(root, "1"))
    assert np.array_equal(as_array(model.m.states), values)
    values = fastinit.random_normal(3, stddev=1, seed=derive_seed(derive_seed(9, "m()"), "4"))
    assert np.array_equal(as_array(model.m.drawn), values)


def test_other_processes_of_the_same_seed_draw_the_same():
    code = "\n".join(
        [
            "import sys; sys.path.insert(0, sys.argv[1])",
            "from meshes import digest",
            "from torch_models import Parts, on_meta",
            "from fastinit.torch import initialize",
            "print(digest(initialize(on_meta(Parts), 3)))",
        ]
    )
    folder = re.sub(r"[^/]*$", "", __file__)
    assert run_python(code, folder) == digest(expected("parts"))


@pytest.mark.parametrize("build", [llama, gpt2])
@pytest.mark.parametrize("how", ["memory", "meta", "emptied"])
def test_models_of_transformers(build, how):
    constructed = build()
    model = build() if how == "memory" else on_meta(build)
    if how == "emptied":
        model.to_empty(device="cpu")
    initialize(model, 3)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    if build is llama:
        rotary, right = model.model.rotary_emb, constructed.model.rotary_emb
        assert torch.equal(rotary.inv_freq, right.inv_freq)
        assert torch.equal(rotary.original_inv_freq, right.inv_freq)
    else:
        std = model.transformer.h[1].mlp.c_proj.weight.std().item()
        assert std == pytest.approx(0.01, rel=0.1)  # 0.02 / sqrt(2 * 2 layers)
        assert model.transformer.h[1].mlp.c_fc.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert_same_parts(model, expected("llama" if build is llama else "gpt2"))
    logits = model(torch.arange(7)[None]).logits
    assert torch.isfinite(logits).all()
    assert not any("_init_weights" in vars(module) for module in model.modules())
    assert "is_custom_code" not in vars(model)


def test_the_row_of_padding_is_zero():
    for model in (initialize(on_meta(lambda: llama(False)), 3), expected("encoder")):
        embed = model.model.embed_tokens if hasattr(model, "model") else model.embed
        assert not embed.weight[embed.padding_idx].any()
        assert embed.weight.std() > 0.015


def test_a_subclass_of_a_model_of_transformers_is_scaled_like_it():
    build = MODELS["gpt2"]
    model = build()
    model.__class__ = type("Mine", (type(model),), {"__module__": "mine"})
    assert_same_parts(initialize(model, 3), expected("gpt2"))


def test_a_model_of_transformers_within_another_module():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = llama()
            self.head = nn.Linear(24, 3)

    model = initialize(on_meta(Outer), 3)
    assert model.inner.lm_head.weight is model.inner.model.embed_tokens.weight
    assert_same_parts(model, initialize(Outer(), 3))
    assert model.inner.model.layers[0].mlp.up_proj.weight.std() < 0.03


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype):
    model = initialize(on_meta(lambda: Encoder().to(dtype)), 3)
    assert_same_parts(model, initialize(Encoder().to(dtype), 3))
    weight = model.encoder.layers[0].linear1.weight
    expected = torch.empty(weight.shape, dtype=dtype)
    init.kaiming_uniform_(expected, 5**0.5, seed=derive_seed(3, "encoder.layers.0.linear1.weight"))
    assert torch.equal(weight, expected)


# Wrappers: the bytes are the same as without them, because names leave out what they add.


def checkpointed(model):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    for number, layer in enumerate(model.encoder.layers):
        model.encoder.layers[number] = checkpoint_wrapper(layer)
    return model


def compiled_inside(model):
    model.head = torch.compile(model.head)
    return torch.compile(checkpointed(model))


class Forwarding(nn.Module):
    """Like FullyShardedDataParallel, which passes its module's attributes on."""

    def __init__(self, module):
        super().__init__()
        self._fsdp_wrapped_module = module

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._fsdp_wrapped_module, name)


def forwarding_inside(model):
    model.embed = Forwarding(model.embed)
    model.encoder.layers[1] = Forwarding(model.encoder.layers[1])
    return Forwarding(model)


WRAPPERS = {
    "checkpoint": checkpointed,
    "compile": torch.compile,
    "compile and checkpoint": compiled_inside,
    "data parallel": nn.DataParallel,
    "compile of data parallel": lambda model: torch.compile(nn.DataParallel(model)),
    "data parallel of compile": lambda model: nn.DataParallel(torch.compile(model)),
    "fsdp": forwarding_inside,
}


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("init", [None, {"head.*": 0.5, "*": nn.init.normal_}])
def test_wrappers(name, memory, init):
    plain = Encoder()
    model = WRAPPERS[name](Encoder() if memory else on_meta(Encoder))
    assert initialize(model, 3, init) is model
    initialize(plain, 3, init)
    found = {key.removeprefix("module."): value for key, value in tensors(model).items()}
    assert set(found) == set(tensors(plain))
    for key, tensor in tensors(plain).items():
        assert torch.equal(found[key], tensor), key


def test_wrapped_models_of_transformers():
    assert_same_parts(initialize(torch.compile(on_meta(llama)), 3), expected("llama"))
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    model = on_meta(gpt2)
    for number, layer in enumerate(model.transformer.h):
        model.transformer.h[number] = checkpoint_wrapper(layer)
    assert_same_parts(initialize(model, 3), expected("gpt2"))


# Tables of rules, and functions.


def test_the_first_rule_that_matches_counts():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4, bias=False))
    rules = {
        "0.weight": functools.partial(init.trunc_normal_, std=0.5),
        "1.*": 1.5,
        "*.bias": nn.init.normal_,
        "0.*": 7,
        "[!0].weight": init.orthogonal_,
        "*": 8,
    }
    initialize(model, 3, rules)
    values = init.trunc_normal_(torch.empty(4, 4), std=0.5, seed=derive_seed(3, "0.weight"))
    assert torch.equal(model[0].weight, values)
    assert torch.equal(model[0].bias, init.normal_(torch.empty(4), seed=derive_seed(3, "0.bias")))
    assert (model[1].weight == 1.5).all()
    assert (model[1].bias == 1.5).all()
    gram = model[2].weight @ model[2].weight.T
    assert torch.allclose(gram, torch.eye(4), atol=1e-6)
    flat = initialize(on_meta(lambda: nn.Linear(3, 2)), 3, {"*": -1})
    assert (flat.weight == -1).all()


def test_rules_of_tied_parameters_match_any_of_their_names():
    """The order of the table decides, not that of the names."""
    for pattern in ("lm_head.*", "*.wte.*"):
        model = initialize(on_meta(gpt2), 3, {pattern: 2, "*": 0.5})
        assert (model.lm_head.weight == 2).all()
        assert model.lm_head.weight is model.transformer.wte.weight
    rules = {"*.wte.weight": 2, "lm_head.weight": 3, "*": 0.5}
    assert (initialize(gpt2(), 3, rules).lm_head.weight == 2).all()


def test_random_numbers_of_a_rule_are_named_by_the_parameter():
    def scaled(parameter):
        parameter.copy_(torch.rand(parameter.shape) * torch.randn(()))

    small = initialize(nn.ModuleDict({"b": nn.Linear(3, 3)}), 3, {"*": scaled})
    large = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(3, 3)})
    initialize(large, 3, {"*": scaled})
    assert_same_parts(small, large, some=True)
    assert len({float(value) for value in large.b.weight.detach().view(-1)}) == 9


def test_a_table_keeps_the_buffers_of_a_model_on_meta():
    model = initialize(on_meta(llama), 3, {"*norm*": 1, "*": init.normal_})
    assert torch.equal(model.model.rotary_emb.inv_freq, llama().model.rotary_emb.inv_freq)
    assert_same_parts(model, initialize(llama(), 3, {"*norm*": 1, "*": init.normal_}))


def test_a_rule_that_writes_nothing_is_named():
    for build in (Encoder, lambda: on_meta(Layers)):
        rules = {"*weight*": lambda tensor: torch.zeros_like(tensor), "*": 0}
        with pytest.raises(RuntimeError, match=r"nothing has written .*weight"):
            initialize(build(), 3, rules)


def test_a_function_of_a_module():
    seen = []

    def scheme(module):
        seen.append(type(module).__name__)
        for parameter in module.parameters(recurse=False):
            nn.init.normal_(parameter, std=0.02)

    model = initialize(on_meta(Encoder), 3, scheme)
    assert seen[-1] == "Encoder"
    assert seen.index("Linear") < seen.index("TransformerEncoderLayer")
    assert_same_parts(model, initialize(Encoder(), 3, scheme))
    values = init.normal_(torch.empty(7, 10), std=0.02, seed=derive_seed(3, "head.weight"))
    assert torch.equal(model.head.weight, values)


class Ruled(nn.Module):
    """A model with rules of its own, under the names that models have for them."""

    def __init__(self, kind):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)
        rules = {
            "init_weights": self._all,
            "_init_weights": self._one,
            "init_weights of a module": self._one,
        }
        setattr(self, kind.removesuffix(" of a module"), rules[kind])

    def _all(self, std=0.5):
        nn.init.normal_(self.linear.weight, std=std)

    def _one(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.5)


@pytest.mark.parametrize("kind", ["init_weights", "_init_weights", "init_weights of a module"])
def test_rules_of_a_model(kind):
    model = initialize(on_meta(lambda: Ruled(kind)), 3)
    seed = derive_seed(derive_seed(3, "linear.weight"), "1")  # draw 0 is that of reset_parameters
    assert torch.equal(model.linear.weight, init.normal_(torch.empty(3, 3), std=0.5, seed=seed))
    assert (model.norm.weight == 1).all()


WRONG = {
    "no model": (lambda: initialize([]), TypeError, "model must be a torch.nn.Module"),
    "no rule": (
        lambda: {"init": {"*.weight": 1}},
        ValueError,
        "no rule of init matches parameter embed.bias",
    ),
    "a pattern": (lambda: {"init": {1: 1}}, TypeError, "patterns of init must be strings"),
    "a rule": (lambda: {"init": {"*": "normal"}}, TypeError, "the rule of '*' must be a function"),
    "a boolean": (lambda: {"init": {"*": True}}, TypeError, "received True"),
    "no table": (lambda: {"init": 3}, TypeError, "init must be a function of a module"),
    "a seed of text": (lambda: {"seed": "1"}, TypeError, "seed must be"),
    "a seed of a fraction": (lambda: {"seed": 1.0}, TypeError, "seed must be"),
    "a negative seed": (lambda: {"seed": -1}, ValueError, "seed must be"),
    "a large seed": (lambda: {"seed": 2**64}, ValueError, "seed must be"),
    "no memory": (lambda: {"device": "meta"}, ValueError, "device must be one with memory"),
    "no device": (lambda: {"device": "nowhere"}, RuntimeError, "nowhere"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("memory", [True, False])
def test_nothing_is_changed_where_arguments_are_wrong(case, memory):
    make, error, message = WRONG[case]
    build = lambda: nn.ModuleDict({"embed": nn.Linear(3, 2), "norm": nn.BatchNorm1d(2)})  # noqa: E731
    model = build() if memory else on_meta(build)
    before = {name: tensor.detach().clone() for name, tensor in tensors(model).items()}
    versions = [tensor._version for tensor in tensors(model).values()]
    with pytest.raises(error, match=re.escape(message)):
        initialize(model, **make())
    assert [tensor._version for tensor in tensors(model).values()] == versions
    for name, tensor in tensors(model).items():
        assert tensor.is_meta != memory
        assert not memory or torch.equal(tensor, before[name])


# What was not written.


class Half(nn.Module):
    def __init__(self, write):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(5, 4))
        self.wave = nn.Parameter(torch.empty(3, dtype=torch.complex64))
        self.write = write

    def reset_parameters(self):
        self.write(self)


def parts(*writes):
    def write(module):
        nn.init.ones_(module.wave)
        for view in writes:
            nn.init.normal_(view(module.weight))

    return write


def real_and_imaginary(both):
    def write(module):
        nn.init.zeros_(module.weight)
        module.wave.real.normal_()
        if both:
            module.wave.imag.normal_()

    return write


NOT_WRITTEN = {
    "nothing": (lambda module: None, "weight, wave"),
    "one": (lambda module: nn.init.zeros_(module.weight), "wave"),
    "a half": (parts(lambda x: x[:4]), "weight"),
    "a half, twice": (parts(lambda x: x[:3], lambda x: x[:3]), "weight"),
    "overlapping": (parts(lambda x: x[:3], lambda x: x[1:4]), "weight"),
    "columns": (parts(lambda x: x[:, 1:], lambda x: x[1:]), "weight"),
    "all but an element": (parts(lambda x: x.view(-1)[:19]), "weight"),
    "a real part": (real_and_imaginary(False), "wave"),
    "a copy": (lambda module: module.weight.clone().normal_(), "weight, wave"),
    "arithmetic": (lambda module: module.weight.mul_(2), "weight, wave"),
}
WRITTEN = {
    "both halves": parts(lambda x: x[:2], lambda x: x[2:]),
    "columns": parts(*(lambda x, i=i: x[:, i] for i in range(4))),
    "a corner last": parts(lambda x: x[:, 1:], lambda x: x[1:], lambda x: x[0, 0]),
    "transposed": parts(lambda x: x.t()),
    "flat": parts(lambda x: x.detach().view(-1)),
    "data": parts(lambda x: x.data),
    "every second": parts(lambda x: x.view(-1)[::2], lambda x: x.view(-1)[1::2]),
    "real and imaginary": real_and_imaginary(True),
}


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("case", NOT_WRITTEN)
def test_what_nothing_has_written_is_named(case, memory):
    write, names = NOT_WRITTEN[case]
    model = nn.Sequential(Half(write) if memory else on_meta(lambda: Half(write)))
    names = ", ".join(f"0.{name}" for name in names.split(", "))
    with pytest.raises(RuntimeError, match=re.escape(f"nothing has written {names}:")):
        initialize(model, 3)


@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_written_in_parts(case):
    model = initialize(on_meta(lambda: Half(WRITTEN[case])), 3)
    assert len(model.weight.detach().unique()) in (1, 20)


def test_many_names_are_shortened():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            for number in range(9):
                setattr(self, f"p{number}", nn.Parameter(torch.empty(2)))

    with pytest.raises(RuntimeError, match=r"written p0, p1, p2, p3, p4 and 4 others: give"):
        initialize(Bare(), 3)


class Buffers(nn.Module):
    def __init__(self, remake):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("table", torch.arange(5.0) * 0.5)
        self.register_buffer("mask", torch.ones(3, 3).tril(), persistent=False)
        self.remake = remake

    def reset_parameters(self):
        if self.remake:
            self.table.copy_(torch.arange(5.0) * 0.5)
            self.mask = torch.ones(3, 3).tril()


def test_buffers_keep_their_values_or_are_made_again():
    model = initialize(Buffers(False), 3)
    made = initialize(on_meta(lambda: Buffers(True)), 3)
    assert torch.equal(model.table, torch.arange(5.0) * 0.5)
    assert torch.equal(model.mask, torch.ones(3, 3).tril())
    assert_same_parts(model, made)
    with pytest.raises(RuntimeError, match="nothing has written table, mask:"):
        initialize(on_meta(lambda: Buffers(False)), 3)
    mixed = Buffers(False)
    mixed.linear.to("meta")
    initialize(mixed, 3)
    assert_same_parts(mixed, model)


def test_statistics_are_reset():
    model = nn.BatchNorm1d(3)
    model(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)))
    initialize(model, 3)
    assert not model.running_mean.any()
    assert (model.running_var == 1).all()
    assert model.num_batches_tracked == 0


# Nothing leaks.


def surroundings():
    functions = [nn.init.trunc_normal_, nn.init.orthogonal_, nn.init.sparse_, nn.init.normal_]
    return (
        [function.__code__ for function in functions],
        [nn.init.__dict__[name] for name in ("normal_", "trunc_normal_", "kaiming_uniform_")],
        torch.get_rng_state().tolist(),
        list(torch.overrides._get_current_function_mode_stack()),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )


def fails(module):
    nn.init.trunc_normal_(next(module.parameters()))
    torch.rand(3)
    torch.randperm(3)
    raise KeyError("stop")


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("init", [None, fails])
@pytest.mark.parametrize("build", [Encoder, llama])
def test_nothing_leaks(nested, init, build):
    torch.manual_seed(7)
    before = surroundings()
    model = on_meta(build)
    if nested:
        with accelerate(seed=1):
            inside = surroundings()
            first = torch.randn(3)
            if init is None:
                initialize(model, 3)
            else:
                with pytest.raises(KeyError):
                    initialize(model, 3, init)
            second = torch.randn(3)
            assert surroundings() == inside
        with accelerate(seed=1):  # the numbering of its draws continues
            assert torch.equal(torch.randn(3), first)
            assert torch.equal(torch.randn(3), second)
    elif init is None:
        initialize(model, 3)
    else:
        with pytest.raises(KeyError):
            initialize(model, 3, init)
    assert surroundings() == before
    if init is None:
        assert_same_parts(model, initialize(build(), 3))


def test_parameters_stay_what_they_are():
    model = Encoder()
    model.head.weight.requires_grad_(False)
    model.head.weight.tag = "mine"
    loss = model.embed.weight.sum()
    before = list(model.parameters())
    initialize(model, 3)
    for parameter, other in zip(model.parameters(), before, strict=True):
        assert parameter is other
        assert parameter.is_leaf
    assert not model.head.weight.requires_grad
    assert model.head.weight.tag == "mine"
    loss.backward()
    meta = on_meta(Encoder)
    meta.head.weight.requires_grad_(False)
    meta.head.weight.tag = "mine"
    optimizer = torch.optim.SGD(meta.parameters())
    initialize(meta, 3)
    assert not meta.head.weight.requires_grad
    assert meta.head.weight.tag == "mine"
    assert meta.embed.weight.requires_grad
    assert len(optimizer.param_groups[0]["params"]) == len(before)


def test_inside_a_device_context_and_inference_mode():
    with torch.device("meta"):
        model = initialize(Encoder(), 3)
        mixed = initialize(nn.Sequential(Mixer()), 3)
    assert_same_parts(model, expected("encoder"))
    assert_same_parts(mixed, initialize(nn.Sequential(Mixer()), 3))
    with torch.inference_mode():
        assert_same_parts(initialize(Encoder(), 3), expected("encoder"))


# Unusual models.


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors is a no-op")
def test_models_without_parameters():
    assert not list(initialize(nn.Identity()).parameters())
    initialize(nn.Sequential(nn.ReLU(), nn.Dropout()), 3, {})
    model = initialize(on_meta(lambda: nn.Linear(0, 3, bias=False)), 3, {"*": 1})
    assert model.weight.shape == (3, 0)


def test_shared_modules_count_once_by_the_first_of_their_names():
    class Shared(nn.Module):
        def __init__(self, names):
            super().__init__()
            part = nn.Sequential(Mixer(), nn.Linear(3, 3))
            for name in names:
                setattr(self, name, nn.Sequential(part))

    def scheme(module):
        for parameter in module.parameters(recurse=False):
            parameter.copy_(torch.rand(parameter.shape) + nn.init.uniform_(parameter))

    for init_ in (None, scheme, {"*": nn.init.normal_}):
        alone = initialize(Shared(["a"]), 3, init_)
        for names in (["a", "b"], ["b", "a"], ["z", "a", "m"]):
            for model in (Shared(names), on_meta(lambda names=names: Shared(names))):
                initialize(model, 3, init_)
                assert model.a[0] is getattr(model, names[-1])[0]
                assert_same_parts(alone, model, some=True)
                assert {id(p) for p in model.parameters()} == {id(p) for p in model.a.parameters()}


def test_a_parameter_shared_by_two_modules_on_meta():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight
            self.register_buffer("first", torch.zeros(2))
            self.linear = nn.Linear(2, 2)
            self.linear.register_buffer("second", self.first)

        def reset_parameters(self):
            self.first.zero_()

    model = initialize(on_meta(Tied), 3)
    assert model.head.weight is model.embed.weight
    assert model.linear.second is model.first
    assert_same_parts(model, initialize(Tied(), 3))


def test_parameters_that_are_replaced():
    class Replacing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(3, 2))

        def reset_parameters(self):
            self.weight = nn.Parameter(torch.randn(3, 2) * 2)

    model = initialize(on_meta(lambda: nn.Sequential(Replacing())), 3)
    values = fastinit.random_normal((3, 2), stddev=1, seed=derive_seed(3, "0()"))
    assert np.array_equal(as_array(model[0].weight), values * 2)
    assert_same_parts(model, initialize(nn.Sequential(Replacing()), 3))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_modules_are_named():
    with pytest.raises(ValueError, match=r"0\.weight has no shape yet: run the model once"):
        initialize(nn.Sequential(nn.LazyLinear(3)), 3)
    with pytest.raises(ValueError, match=r"0\.running_mean has no shape yet"):
        initialize(nn.Sequential(nn.LazyBatchNorm1d(affine=False)), 3)
    model = nn.Sequential(nn.LazyLinear(3))
    model(torch.zeros(2, 5))
    plain = nn.Sequential(nn.Linear(5, 3))
    assert_same_parts(initialize(model, 3), initialize(plain, 3))


def test_the_older_fsdp_is_refused():
    from torch.distributed.fsdp import FullyShardedDataParallel

    wrapper = FullyShardedDataParallel.__new__(FullyShardedDataParallel)
    nn.Module.__init__(wrapper)
    model = nn.Sequential(nn.Linear(2, 2))
    model.add_module("1", wrapper)
    with pytest.raises(ValueError, match="FullyShardedDataParallel keeps pieces of flat"):
        initialize(model, 3)


def test_seeds():
    for seed in (np.uint64(3), 2**64 - 1):
        assert_same_parts(initialize(Encoder(), seed), initialize(Encoder(), int(seed)))
    generators = [fastinit.SeedGenerator(5), fastinit.SeedGenerator(5)]
    first, second = (initialize(Encoder(), generator) for generator in generators)
    assert_same_parts(first, second)
    assert digest(initialize(Encoder(), generators[0])) != digest(first)
    assert digest(initialize(Encoder(), None)) != digest(initialize(Encoder(), None))
    assert digest(initialize(Encoder())) == digest(initialize(Encoder(), 0))


STRIDED = """
import os, sys, traceback
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel
from torch.distributed.tensor.parallel import parallelize_module
from torch.testing._internal.distributed.fake_pg import FakeStore
from fastinit.torch import initialize

data, tensor = int(sys.argv[1]), int(sys.argv[2])


class Model(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.embed = nn.Embedding(size, 3)
        self.up = nn.Linear(3, size)
        self.down = nn.Linear(size, 3)


def part(whole, count, number, dim=0):
    chunks = whole.chunk(count, dim)
    return chunks[number] if number < len(chunks) else whole.narrow(dim, 0, 0)


def run(rank):
    compared = 0
    distributed.init_process_group(
        "fake", store=FakeStore(), rank=rank, world_size=data * tensor
    )
    mesh = init_device_mesh("cpu", (data, tensor), mesh_dim_names=("data", "tensor"))
    row, column = divmod(rank, tensor)
    for size in (1, 5, 7, 13, 16):
        with torch.device("meta"):
            model = Model(size)
        plan = {"embed": RowwiseParallel(), "up": ColwiseParallel(), "down": RowwiseParallel()}
        parallelize_module(model, mesh["tensor"], plan)
        fully_shard(model, mesh=mesh["data"])
        initialize(model, 3)
        whole = initialize(Model(size), 3)
        for name, parameter in model.named_parameters():
            expected = whole.get_parameter(name).detach()
            if name != "down.bias":
                expected = part(expected, tensor, column, int(name == "down.weight"))
            expected = part(expected, data, row)
            local = parameter.to_local().detach()
            same = torch.equal(local.reshape(-1), expected.reshape(-1))
            assert same, (rank, size, name, parameter.placements, local, expected)
            compared += local.numel()
    print(compared, flush=True)


for rank in range(data * tensor):
    child = os.fork()  # a process keeps the mesh of its first rank
    if not child:
        try:
            run(rank)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
"""


@pytest.mark.parametrize(("data", "tensor"), [(3, 2), (2, 4), (4, 3)])
def test_both_kinds_of_sharding_where_sizes_do_not_divide(data, tensor):
    """Each process of a mesh runs alone, in turn: FSDP cuts what tensor parallelism has left."""
    printed = run_python(STRIDED, data, tensor, timeout=120)
    sizes = (1, 5, 7, 13, 16)
    whole = sum(3 * size + 3 * size + size + 3 * size for size in sizes)
    bias = 3 * len(sizes)  # of the last layer, which tensor parallelism replicates
    assert sum(map(int, printed.split())) == whole + bias * tensor


@pytest.mark.parametrize("meta", [False, True])
@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d, nn.Conv3d])
def test_channels_last_has_the_same_values(layer, meta):
    """PyTorch's convolutions draw such a weight into another tensor first, which has no name."""
    memory = torch.channels_last_3d if layer is nn.Conv3d else torch.channels_last
    plain = initialize(layer(3, 16, 3), seed=0)
    with torch.device("meta" if meta else "cpu"):
        other = layer(3, 16, 3).to(memory_format=memory)
    initialize(other, seed=0)
    assert torch.equal(plain.weight, other.weight)
    assert other.weight.is_contiguous(memory_format=memory)
    assert not other.weight.is_contiguous()


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(3))
        self.register_buffer("positions", torch.arange(8))


def test_a_buffer_on_meta_is_missed_at_every_call():
    with torch.device("meta"):
        model = Positions()
    for rules in (None, {"*": 1}, {"*": 1}):
        with pytest.raises(RuntimeError, match=r"has written positions: a buffer on meta"):
            initialize(model, 0, rules)
        assert model.positions.is_meta
    with pytest.raises(RuntimeError, match=r"written scale: give its module .*written positions: "):
        initialize(model)


def test_a_rule_that_fails_is_named():
    model = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(TypeError, match="stddev") as caught:
        initialize(model, 0, {"*": functools.partial(init.normal_, stddev=1)})
    assert caught.value.__notes__ == ["This is the rule of '*', for parameter 0.bias."]


@pytest.mark.parametrize(
    "rule", [fastinit.he_normal, fastinit.initializers.HeNormal(), fastinit.initializers.HeNormal]
)
def test_rules_fill_tensors(rule):
    with pytest.raises(TypeError, match=r"as the functions of fastinit\.torch\.init do"):
        initialize(nn.Linear(3, 4), 0, {"*": rule})


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"wieght": 1, "*": 0}, "the pattern 'wieght' of init matches no parameter"),
        ({"*": 0, "*.bias": 1}, r"the pattern '\*.bias' of init is never reached"),
    ],
)
def test_rules_that_cannot_be_used_are_named(rules, message):
    with pytest.warns(UserWarning, match=message):
        initialize(nn.Sequential(nn.Linear(3, 4)), 0, rules)
