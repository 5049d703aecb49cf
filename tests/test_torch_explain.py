"""fastinit.torch.explain, against values that NumPy computes and a model that stays as it was."""

import json
import math
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

import fastinit
from fastinit import _report
from fastinit._cli.main import main
from fastinit.torch import _forward as running
from fastinit.torch import explain, init, initialize

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
]


def normals(*shape, seed=5):
    return torch.from_numpy(fastinit.random_normal(shape, stddev=1.0, seed=seed))


def deep(activation, layers=20, width=256):
    """Return layers with He's weights, each of a seed of its own, and zero biases."""
    model = nn.Sequential(
        *(part for _ in range(layers) for part in (nn.Linear(width, width), activation()))
    )
    return initialize(model, 0, {"*.weight": init.kaiming_normal_, "*.bias": 0})


def outputs(report):
    return {output.name: output for output in report.outputs}


def weights(report):
    return {weight.name: weight for weight in report.weights}


def all_values(model):
    """Return copies of all that explain must leave alone."""
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "grad": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "ids": [id(p) for p in (*model.parameters(), *model.buffers())],
        "training": [module.training for module in model.modules()],
        "hooks": [dict(module._forward_hooks) for module in model.modules()],
        "versions": [p._version for p in model.parameters()],
        "generator": torch.get_rng_state(),
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in ("requires_grad", "ids", "training", "hooks", "versions"):
        assert one[name] == other[name], name
    for name, value in one["state"].items():
        assert torch.equal(value, other["state"][name]), name
    for first, second in zip(one["grad"], other["grad"], strict=True):
        assert (first is None) == (second is None)
        assert first is None or torch.equal(first, second)
    assert torch.equal(one["generator"], other["generator"])


def numpy_pass(model, x, function, slope):
    """Return the outputs of a deep model in float64, and the gradients of what follows."""
    matrices = [m.weight.detach().numpy().astype(float) for m in model if hasattr(m, "weight")]
    before, after = [], [x.numpy().astype(float)]
    for matrix in matrices:
        before.append(after[-1] @ matrix.T)
        after.append(function(before[-1]))
    shape = after[-1].shape
    seed = fastinit.derive_seed(0, "cotangent()")
    gradient = fastinit.random_normal(shape, stddev=1.0, seed=seed).astype(float)
    back = []
    for matrix, z in zip(matrices[::-1], before[::-1], strict=True):
        back += [gradient, gradient * slope(z)]
        gradient = back[-1] @ matrix
    forward = [value for pair in zip(before, after[1:], strict=True) for value in pair]
    return forward, back[::-1]


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def gelu_slope(x):
    return gelu(x) / np.where(x == 0, 1, x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(
    ("kind", "function", "slope", "vanishes"),
    [
        (nn.GELU, gelu, gelu_slope, True),
        (nn.ReLU, lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0), False),
    ],
)
def test_deep_layers_with_he(kind, function, slope, vanishes):
    model, x = deep(kind), normals(64, 256)
    report = explain(model, x)
    forward, back = numpy_pass(model, x, function, slope)
    assert [output.name for output in report.outputs] == [str(n) for n in range(40)]
    for output, value, gradient in zip(report.outputs, forward, back, strict=True):
        assert output.stddev == pytest.approx(value.std(), rel=1e-4)
        assert output.gradient == pytest.approx(gradient.std(), rel=1e-4)
        assert output.shape == (64, 256)
        assert output.calls == 1
    text = " ".join(report.warnings)
    assert ("activations vanish" in text) == vanishes
    assert ("a gain of 1.468 keeps" in text) == vanishes
    assert vanishes or not report.warnings
    last = report.outputs[-1].stddev
    assert last < 0.2 if vanishes else last > 0.3


def test_a_gain_that_is_too_large_explodes():
    model = deep(nn.ReLU, 8)
    with torch.no_grad():
        for layer in model[::2]:
            layer.weight.mul_(2)
    text = " ".join(explain(model, normals(16, 256)).warnings)
    assert "0 to 14: activations explode: standard deviation" in text
    assert "0 to 14: gradients explode: norm" in text
    assert "for ReLU a gain of 1.414 keeps" in text
    assert "median gain is 2.8" in text


class Everything(nn.Module):
    """Modules of all layouts, buffers that change, dropout, one module twice, a dict as output."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.conv = nn.Conv1d(6, 8, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm1d(8)
        self.up = nn.ConvTranspose1d(8, 6, 5, padding=2, groups=2)
        self.twice = nn.Linear(6, 6)
        self.drop = nn.Dropout(0.5)
        self.layer = nn.LayerNorm((4, 6))
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 11, bias=False)
        self.tied = nn.Linear(6, 11, bias=False)
        self.tied.weight = self.embed.weight
        self.relu = nn.ReLU(inplace=True)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, ids, factor, *, more=None):
        self.count = self.count + 1
        x = self.embed(ids).mT
        x = self.relu(self.norm(self.conv(x)))
        x = self.layer(self.up(x).mT)
        x = self.drop(self.twice(self.twice(x))) * factor["by"]
        y, _ = self.lstm(x)
        return {"ids": ids, "loss": y.mean(), "logits": (self.head(y), self.tied(x))}


IDS = torch.arange(12).reshape(3, 4) % 11


def test_fans_follow_the_module():
    model = Everything()
    found = weights(explain(model))
    fans = {name: (weight.fan_in, weight.fan_out) for name, weight in found.items()}
    assert fans == {
        "embed.weight": (1, 6),
        "conv.weight": (3 * 3, 4 * 3),
        "up.weight": (4 * 5, 3 * 5),
        "twice.weight": (6, 6),
        "layer.weight": (None, None),
        "lstm.weight_ih_l0": (6, 20),
        "lstm.weight_hh_l0": (5, 20),
        "head.weight": (5, 11),
    }
    assert found["embed.weight"].other_names == ("tied.weight",)
    assert found["layer.weight"].gain is None
    for name, weight in found.items():
        value = model.get_parameter(name).detach().numpy().astype(float)
        assert weight.shape == value.shape
        assert weight.mean == pytest.approx(value.mean(), rel=1e-9, abs=1e-12)
        assert weight.stddev == pytest.approx(value.std(), rel=1e-9, abs=1e-12)
        assert (weight.minimum, weight.maximum) == (value.min(), value.max())
    head = found["head.weight"]
    assert head.gain == pytest.approx(head.stddev * math.sqrt(5))
    assert head.relative_to_he == pytest.approx(head.stddev / math.sqrt(2 / 5))
    assert head.relative_to_glorot == pytest.approx(head.stddev / math.sqrt(2 / 16))


def test_the_fans_are_those_that_keep_the_variance():
    # With the standard deviation 1 / sqrt(fan_in), outputs vary as inputs do.
    layers = [
        nn.Conv2d(32, 64, 3, groups=4, padding=1, padding_mode="circular", bias=False),
        nn.ConvTranspose2d(32, 64, 3, groups=4, padding=1, bias=False),
    ]
    for number, layer in enumerate(layers):
        (weight,) = explain(layer).weights
        init.normal_(layer.weight, std=1 / math.sqrt(weight.fan_in), seed=number)
        (output,) = explain(layer, normals(8, 32, 40, 40)).outputs
        assert output.stddev == pytest.approx(1, rel=0.04)
        back = math.sqrt(weight.fan_out / weight.fan_in)  # of the gradient's standard deviation
        x = normals(8, 32, 40, 40).requires_grad_()
        layer(x).backward(normals(8, 64, 40, 40, seed=6))
        assert x.grad.std().item() == pytest.approx(back, rel=0.04)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_as_it_was(training):
    model = Everything().train(training)
    model.conv.weight.requires_grad_(False)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    model.drop.train(not training)
    with torch.no_grad():
        model.up.weight.copy_(model.up.weight)  # a version that is not 0
    before = all_values(model)
    kept = IDS.clone()
    report = explain(model, IDS, {"by": 2.0})
    assert_same(before, all_values(model))
    assert torch.equal(IDS, kept)
    found = outputs(report)
    assert found["twice"].calls == 2
    assert found["twice"].shape == (3, 4, 6)
    assert found[""].shape == (3, 4, 11)
    assert found["embed"].gradient > 0  # through the frozen convolution
    assert found["tied"].gradient is None  # the first tensor of the output is another one
    assert found["lstm"].shape == (3, 4, 5)
    assert "drop" not in found
    assert report.notes == ("embed.weight is also tied.weight",)
    torch.manual_seed(77)  # dropout draws from the seed of the call
    model.drop.train()
    report = explain(model, IDS, {"by": 2.0})
    torch.manual_seed(78)
    assert report == explain(model, IDS, {"by": 2.0})
    assert report.outputs != explain(model, IDS, {"by": 2.0}, seed=1).outputs


def test_gradients_of_a_frozen_model():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).requires_grad_(False)
    frozen = explain(model, normals(3, 4))
    assert frozen.outputs[0].gradient > 0
    assert frozen.outputs == explain(model.requires_grad_(True), normals(3, 4)).outputs


def test_the_model_is_as_it_was_after_an_error():
    model = Everything()
    before = all_values(model)
    with pytest.raises(TypeError):
        explain(model, IDS, None)
    assert_same(before, all_values(model))
    with pytest.raises(RuntimeError, match="mine"):
        explain(model, IDS, {"by": 1.0}, loss=lambda _: (_ for _ in ()).throw(RuntimeError("mine")))
    assert_same(before, all_values(model))


def test_calls_are_counted_together():
    model = Everything()
    seen = []
    model.twice.register_forward_hook(lambda *call: seen.append(call[2].detach().double()))
    report = explain(model, IDS, {"by": 2.0})
    assert outputs(report)["twice"].stddev == pytest.approx(
        torch.stack(seen).std(correction=0).item(), rel=1e-9
    )


def test_a_loss_and_keyword_arguments():
    model = nn.Bilinear(3, 4, 5)
    a, b = normals(7, 3), normals(7, 4)
    report = explain(model, a, kwargs={"input2": b}, loss=lambda y: y.square().sum())
    assert (report.weights[0].fan_in, report.weights[0].fan_out) == (12, 20)
    y = model(a, b).detach().double()
    (output,) = report.outputs
    assert output.stddev == pytest.approx(y.std(correction=0).item(), rel=1e-6)
    assert output.gradient == pytest.approx(2 * y.std(correction=0).item(), rel=1e-6)


def test_gradients_before_values_are_overwritten():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4))
    x = normals(9, 4)
    report = outputs(explain(model, x))
    z = x @ model[0].weight.T + model[0].bias
    assert report["0"].stddev == pytest.approx(z.double().std(correction=0).item(), rel=1e-6)
    assert report["0"].gradient < report["1"].gradient  # the ReLU stops half of it


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        with torch.no_grad():
            return self.inner(x)


def test_inputs_are_not_overwritten():
    x = normals(9, 4)
    kept = x.clone()
    explain(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 4)), x)
    assert torch.equal(x, kept)


def test_notes_where_there_are_no_gradients():
    (note,) = explain(Frozen(), normals(2, 3)).notes
    assert note == "no gradients: autograd has not recorded how the output was computed"

    class Ids(nn.Linear):
        def forward(self, x):
            return super().forward(x).argmax(-1)

    report = explain(Ids(3, 3), normals(2, 3))
    assert report.outputs == ()
    assert "no tensor of floating-point numbers" in report.notes[0]


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints(reentrant):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.second = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))

        def forward(self, x):
            part = torch.utils.checkpoint.checkpoint(
                self.second, self.first(x), use_reentrant=reentrant
            )
            return part + 0

    found = explain(Model(), normals(5, 3))
    assert [output.calls for output in found.outputs] == [1] * 5
    if reentrant:
        assert "use_reentrant=True" in found.notes[0]
    else:
        assert all(output.gradient > 0 for output in found.outputs)


def test_zeros_and_equal_weights():
    model = nn.Sequential(*(nn.Linear(16, 16) for _ in range(5)))
    for number, layer in enumerate(model):
        init.kaiming_normal_(layer.weight, seed=1 if number in (0, 3) else 10 + number)
    with torch.no_grad():
        model[2].weight.zero_()
        model[2].bias.fill_(0.5)
    report = explain(model, normals(4, 16))
    assert report.warnings[:2] == (
        "all values are 0 in 2.weight",
        "the values are equal in 0.weight, 3.weight: does one seed serve several layers?",
    )
    assert "all values are equal in the output of 2" in report.warnings[2]


def test_one_seed_for_layers_of_different_shapes():
    model = nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 8), nn.Linear(8, 8), nn.Linear(8, 9))
    for layer in model[:3]:
        init.kaiming_normal_(layer.weight, seed=1)
    init.kaiming_uniform_(model[3].weight, seed=1)
    (warning,) = explain(model).warnings
    assert warning.startswith(
        "the values are the same random numbers, but for a factor, in 0.weight, 1.weight, 2.weight:"
    )
    model.bfloat16()
    (warning,) = explain(model).warnings
    assert "0.weight, 1.weight, 2.weight" in warning


def test_weights_that_are_alike_by_rule():
    model = nn.ParameterDict(
        {
            "eye": torch.eye(9),
            "more": torch.eye(9, 12),
            "ones": torch.ones(9, 9),
            "others": torch.ones(9, 9),
            "rates": torch.arange(1.0, 17).log().repeat(8, 1),
            "same": torch.arange(1.0, 17).log().repeat(8, 1),
        }
    )
    assert explain(model).warnings == ()


def test_values_that_are_not_finite():
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    with torch.no_grad():
        model[1].weight[3, 3] = math.inf
        model[2].weight[0, 0] = math.nan
    report = explain(model, normals(4, 8))
    assert report.warnings[0] == "NaN or Inf in 1.weight, 2.weight"
    assert report.warnings[1] == "NaN or Inf in the outputs, first in that of 1"
    assert any(text.startswith("NaN or Inf in the gradients") for text in report.warnings)
    assert "nan" in str(report)
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["weights"][1]["stddev"] is None
    assert found["weights"][0]["shape"] == [8, 8]
    assert found["weights"][0]["gain"] == report.weights[0].gain
    assert found["outputs"][0]["stddev"] == report.outputs[0].stddev


def test_dead_relus():
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    with torch.no_grad():
        model[2].bias[:60] = -100
    report = explain(model, normals(32, 16))
    assert outputs(report)["3"].dead >= 60 / 64
    assert outputs(report)["1"].dead < 0.2
    (warning,) = [text for text in report.warnings if "examples" in text]
    assert warning == "more than 80% of the outputs are 0 for all examples in 3"


def test_meta():
    with torch.device("meta"):
        model = nn.Linear(3, 5)
    (weight,) = explain(model).weights
    assert (weight.fan_in, weight.fan_out, weight.shape) == (3, 5, (5, 3))
    assert weight.stddev is weight.gain is weight.relative_to_he is None
    assert re.search(r"weight +5x3 +3 +5 +- +-", str(explain(model)))
    with pytest.raises(ValueError, match="weight is on meta and has no values"):
        explain(model, torch.ones(1, 3))


def test_errors():
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module, received int"):
        explain(3)
    with pytest.raises(ValueError, match="weight has no shape yet"):
        explain(nn.LazyLinear(3))
    with pytest.raises(ValueError, match="loss must not be given without inputs"):
        explain(nn.Linear(2, 2), loss=torch.sum)
    with pytest.raises(TypeError, match="loss must be a function"):
        explain(nn.Linear(2, 2), torch.ones(2, 2), loss=3)
    with pytest.raises(ValueError, match="loss must return a tensor of one element"):
        explain(nn.Linear(2, 2), torch.ones(2, 2), loss=lambda y: y)
    with pytest.raises(TypeError, match="seed"):
        explain(nn.Linear(2, 2), seed=1.5)


def test_sharded():
    import torch.distributed as dist
    from torch.distributed.tensor import DTensor, Shard, init_device_mesh

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        model = nn.Linear(4, 4)
        model.weight = nn.Parameter(DTensor.from_local(model.weight.detach(), mesh, [Shard(0)]))
        with pytest.raises(ValueError, match="weight is a DTensor"):
            explain(model)
    finally:
        dist.destroy_process_group()


def test_pieces_are_bounded(monkeypatch):
    weight = normals(7, 5, 6)[:, 1:4].transpose(0, 2)  # not contiguous
    whole = Everything()
    expected = explain(whole, IDS, {"by": 2.0})
    for module in (_report, running):
        monkeypatch.setattr(module, "PIECE", 8)
    parts = list(running.pieces(weight))
    assert max(part.size for part in parts) <= 8
    assert np.array_equal(np.concatenate([p.ravel() for p in parts]), weight.double().flatten())
    found = explain(whole, IDS, {"by": 2.0})
    for one, other in zip(found.outputs, expected.outputs, strict=True):
        assert one.stddev == pytest.approx(other.stddev, rel=1e-12)
    for one, other in zip(found.weights, expected.weights, strict=True):
        assert one.stddev == pytest.approx(other.stddev, rel=1e-12)
        assert (one.minimum, one.maximum) == (other.minimum, other.maximum)


def test_moments_of_values_far_from_0():
    moments = _report.Moments()
    values = fastinit.random_normal((3, 1000), stddev=1.0, seed=1, dtype="float64") + 1e6
    for row in values:
        moments.add(row)
    assert moments.mean == pytest.approx(values.mean(), rel=1e-15)
    assert moments.variance == pytest.approx(values.var(), rel=1e-9)


def test_gpt2(capsys):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=3,
        n_embd=48,
        n_head=4,
        vocab_size=97,
        n_positions=32,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config)
    report = explain(model, kwargs={"input_ids": torch.arange(64).reshape(4, 16)})
    found = weights(report)
    assert (found["transformer.h.0.mlp.c_fc.weight"].fan_in, 192) == (48, 192)
    assert found["transformer.h.0.mlp.c_fc.weight"].fan_out == 192
    assert found["lm_head.weight"].other_names == ("transformer.wte.weight",)
    assert outputs(report)[""].shape == (4, 16, 97)
    assert outputs(report)["transformer.h.2"].gradient > 0
    assert report.warnings == ()
    lines = str(report).splitlines()
    assert max(map(len, lines)) < 100
    assert "transformer.h.2.mlp.c_proj" in str(report)


class Residual(nn.Module):
    """A block whose output is its input and a part of the same variance, or of the variance 1."""

    def __init__(self, number, norm):
        super().__init__()
        self.norm = nn.LayerNorm(64) if norm else nn.Identity()
        self.fc1, self.fc2 = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
        init.orthogonal_(self.fc1.weight, seed=2 * number)
        init.orthogonal_(self.fc2.weight, gain=0.25, seed=2 * number + 1)
        self.fc3 = nn.Linear(64, 64, bias=False)
        init.orthogonal_(self.fc3.weight, gain=4.0, seed=100 + number)

    def forward(self, x):
        return x + self.fc3(self.fc2(self.fc1(self.norm(x))))


def test_what_residual_connections_add_up_is_no_fault():
    x = normals(16, 64)
    # With normalization the stream grows to sqrt(21), and what reaches the layers differs by that.
    report = explain(nn.Sequential(*(Residual(number, True) for number in range(20))), x)
    assert outputs(report)["19"].stddev == pytest.approx(math.sqrt(21), rel=0.1)
    assert outputs(report)["0.fc1"].gradient > 3.5 * outputs(report)["19.fc1"].gradient
    assert report.warnings == ()
    # Without, its variance doubles in each block.
    report = explain(nn.Sequential(*(Residual(number, False) for number in range(20))), x)
    found = " ".join(report.warnings)
    assert "0.fc1 to 19.fc1: activations explode" in found
    assert "0.fc1 to 19.fc1: gradients explode" in found
    assert "fc1 to 19.fc3" not in found


def test_gradients_of_layers_of_different_sizes_are_compared_by_their_norms():
    model = nn.Sequential(*(nn.Linear(4 ** (n + 1), 4**n, bias=False) for n in (4, 3, 2, 1)))
    for number, layer in enumerate(model):
        init.orthogonal_(layer.weight, seed=number)  # the norm of what is propagated back stays
    report = explain(model, normals(16, 1024))
    assert report.outputs[0].gradient < report.outputs[-1].gradient / 6
    assert report.warnings == ()


def test_copies_of_one_layer():
    # PyTorch's encoder copies one layer, with its weights.
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    text = " ".join(explain(model).warnings)
    assert "equal in layers.0.linear1.weight, layers.1.linear1.weight, layers.2.linear1.w" in text
    assert explain(initialize(model, 0), normals(4, 10, 32)).warnings == ()


def test_vmap_within_a_model():
    class Model(nn.Sequential):
        def forward(self, x):
            return self[1](torch.vmap(self[0])(x))

    report = explain(Model(nn.Linear(3, 3), nn.Linear(3, 3)), normals(5, 3))
    assert [output.name for output in report.outputs] == ["1", ""]


def test_wrappers_are_looked_through():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    compiled = torch.compile(model, backend="eager")
    report = explain(compiled, normals(3, 4))
    assert report == explain(model, normals(3, 4))
    assert [output.name for output in report.outputs] == ["0", "1"]


def test_a_module_with_two_names():
    layer = nn.Linear(3, 3)
    (weight,) = explain(nn.ModuleDict({"b": layer, "a": layer})).weights
    assert (weight.name, weight.other_names) == ("a.weight", ("b.weight",))


def test_the_command(tmp_path, monkeypatch, capsys):
    """A function of a module in the current folder returns the model, alone or with an input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "made_of_torch.py").write_text(
        "import torch\n"
        "model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Dropout())\n"
        "with_input = lambda: (model, torch.ones(3, 5))\n"
        "alone = lambda: model\n"
    )
    assert main(["explain", "--model", "made_of_torch:alone"]) == 0
    from made_of_torch import model

    assert capsys.readouterr().out == f"{explain(model)}\n"
    assert main(["explain", "--model", "made_of_torch:with_input", "--json", "--seed", "3"]) == 0
    found = explain(model, torch.ones(3, 5), seed=3)
    assert json.loads(capsys.readouterr().out) == found.to_dict()
    assert found.to_dict() != explain(model, torch.ones(3, 5), seed=4).to_dict()
    (tmp_path / "made_on_meta.py").write_text(
        "import torch\nmake = lambda: (torch.nn.Linear(5, 4, device='meta'), torch.ones(3, 5))\n"
    )
    assert main(["explain", "--model", "made_on_meta:make"]) == 2
    assert re.fullmatch("fastinit explain: error: .*meta.*\n", capsys.readouterr().err)
