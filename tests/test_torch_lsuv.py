"""fastinit.torch.lsuv, against algorithm 1 of Mishkin & Matas written out in NumPy."""

import copy
import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import fastinit
from fastinit.torch import explain, init, lsuv

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
]


def normals(*shape, seed=5):
    return torch.from_numpy(fastinit.random_normal(shape, stddev=1.0, seed=seed))


def test_algorithm_1():
    sizes = [64, 96, 32, 8]
    model = nn.Sequential()
    for size, following in itertools.pairwise(sizes):
        model += nn.Sequential(nn.Linear(size, following), nn.ReLU())
    x = normals(128, 64) * 3 + 1
    report = lsuv(model, x, seed=9)
    values = x.numpy().astype(float)
    assert [weight.name for weight in report.weights] == ["0.weight", "2.weight", "4.weight"]
    for weight in report.weights:
        parameter = model.get_parameter(weight.name)
        shape = tuple(parameter.shape)
        seed = fastinit.derive_seed(9, weight.name)
        matrix = fastinit.orthogonal(shape, seed=seed).astype(float)
        output = values @ matrix.T
        assert weight.before == pytest.approx(output.std(), rel=1e-5)
        scale, iterations = 1.0, 0
        while abs((output * scale).var() - 1) > 0.1 and iterations < 10:
            scale /= (output * scale).std()
            iterations += 1
        assert weight.iterations == iterations
        assert weight.scale == pytest.approx(scale, rel=1e-5)
        np.testing.assert_allclose(parameter.detach().numpy(), matrix * scale, rtol=1e-5, atol=1e-7)
        values = output * scale
        assert weight.after == pytest.approx(values.std(), rel=1e-5)
        values = np.maximum(values, 0)
    assert {weight.iterations for weight in report.weights} == {1}
    assert report.unconverged == ()
    assert report.skipped == {}
    assert not any(bias.any() for name, bias in model.named_parameters() if "bias" in name)


@pytest.mark.parametrize(("variance", "iterations"), [(1.08, 0), (0.92, 0), (1.12, 1), (0.88, 1)])
def test_the_tolerance_is_of_the_variance(variance, iterations):
    x = normals(64, 16)
    x *= (variance / x.square().mean()).sqrt()
    x -= x.mean()
    (weight,) = lsuv(nn.Linear(16, 16), x).weights  # which keeps the sum of squares
    assert weight.before**2 == pytest.approx(variance, abs=0.01)
    assert weight.iterations == iterations


def deep():
    parts = [part for _ in range(30) for part in (nn.Linear(64, 64), nn.GELU())]
    return nn.Sequential(*parts)


def test_what_vanishes_with_he_does_not_with_lsuv():
    model, x = deep(), normals(64, 64)
    report = lsuv(model, x)
    outputs = {output.name: output.stddev for output in explain(model, x).outputs}
    for weight in report.weights:
        assert outputs[weight.name.removesuffix(".weight")] == pytest.approx(weight.after, rel=1e-5)
        assert abs(weight.after**2 - 1) <= 0.1
    assert "activations" not in " ".join(explain(model, x).warnings)
    assert report.weights[-1].scale > 1.2  # an orthonormal matrix alone would vanish


def test_the_same_seed_gives_the_same_weights():
    x = normals(64, 64)
    torch.manual_seed(1)
    first = deep()
    torch.manual_seed(2)
    second = deep()
    assert lsuv(first, x, seed=3) == lsuv(second, x, seed=3)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    lsuv(second, x, seed=4)
    assert not torch.equal(first[0].weight, second[0].weight)


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(6, 9, 3, groups=3)
        self.norm = nn.BatchNorm2d(9)
        self.drop = nn.Dropout(0.25)
        self.up = nn.ConvTranspose2d(9, 6, 2, groups=3)
        self.depthwise = nn.Conv2d(6, 12, 2, groups=6)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = self.drop(self.norm(self.grouped(x)).relu())
        return self.head(self.depthwise(self.up(x)).mean((2, 3)))


@pytest.mark.parametrize("training", [True, False])
def test_convolutions(training):
    model = Convolutions().train(training)
    norm = copy.deepcopy(model.norm.state_dict())
    state = torch.get_rng_state()
    report = lsuv(model, normals(16, 6, 9, 9), tol=0.01)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training == model.drop.training == training
    assert not any(module._forward_hooks for module in model.modules())
    for name, value in model.norm.state_dict().items():
        assert torch.equal(value, norm[name]), name
    assert [w.name for w in report.weights] == [
        f"{name}.weight" for name in ("grouped", "up", "depthwise", "head")
    ]
    for weight in report.weights:
        assert weight.after**2 == pytest.approx(1, abs=0.01)
        layer = model.get_submodule(weight.name.removesuffix(".weight"))
        groups = getattr(layer, "groups", 1)
        values = layer.weight.detach().double() / weight.scale
        for group in values.chunk(groups):
            matrix = group.reshape(len(group), -1)
            square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
            assert torch.allclose(square, torch.eye(len(square)).double(), atol=1e-5)
        assert not layer.bias.any()
    # An independent computation of the first layer's variance.
    first = torch.nn.functional.conv2d(
        normals(16, 6, 9, 9).double(), model.grouped.weight.double(), groups=3
    )
    assert first.var(correction=0).item() == pytest.approx(1, abs=0.011)


def test_patterns():
    model, x = Convolutions(), normals(4, 6, 9, 9)
    before = copy.deepcopy(model.state_dict())
    report = lsuv(model, x, include=["*up*", "head.*"], exclude=["*d.weight"])
    assert [weight.name for weight in report.weights] == ["grouped.weight", "up.weight"][1:]
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"up.weight", "up.bias"}
    with pytest.warns(UserWarning, match="the pattern 'heads' of exclude matches no weight"):
        lsuv(model, x, exclude=["heads"])


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 6)
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.head = nn.Linear(6, 9, bias=False)
        self.head.weight = self.embed.weight
        self.unused = nn.Linear(6, 6)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))

    def forward(self, ids):
        x = self.embed(ids)
        return self.head(self.normed(self.second(self.first(self.first(x)))))


def test_shared_and_other_weights():
    model, ids = Shared(), torch.arange(36).reshape(4, 9) % 9
    with torch.no_grad():
        model.embed.weight.copy_(normals(9, 6))
    embedding = model.embed.weight.clone()
    with pytest.warns(UserWarning, match="left as they were") as caught:
        report = lsuv(model, ids, seed=1)
    (weight,) = report.weights
    assert weight.name == "first.weight"
    first = model.embed(ids) @ model.first.weight.T  # the first of three calls
    assert first.var(correction=0).item() == pytest.approx(weight.after**2, rel=1e-5)
    assert abs(weight.after**2 - 1) <= 0.1
    assert model.second.weight is model.first.weight
    assert not model.first.bias.any()
    assert not model.second.bias.any()
    assert report.skipped == {
        "embed.weight": "it is also that of an Embedding, whose output is not to be scaled",
        "normed.weight": "it is computed from other parameters",
        "unused.weight": "its layer was not called",
    }
    assert torch.equal(model.embed.weight, embedding)
    assert caught[0].filename == __file__
    assert "left as it was: unused.weight: its layer was not called" in str(report)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lsuv(model, ids, include=["second.*"])  # one of its names


class Cosine(nn.Linear):
    """A layer whose output does not depend on the scale of its weight."""

    def forward(self, x):
        return x @ (self.weight / self.weight.norm()).T


def test_no_convergence_is_said():
    model = nn.Sequential(nn.Linear(8, 8), Cosine(8, 8))
    with pytest.warns(UserWarning, match=r"not 1 within 0\.1 after 3 iterations for 1\.weight"):
        report = lsuv(model, normals(16, 8), max_iter=3)
    assert report.unconverged == ("1.weight",)
    assert report.to_dict()["weights"][1]["iterations"] == 3
    assert report.weights[1].iterations == 3
    assert report.weights[1].scale == pytest.approx(report.weights[1].before ** -3, rel=1e-4)
    assert "not converged: 1.weight" in str(report)


def test_no_variance():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    with pytest.raises(ValueError, match=r"of the layer of 0\.weight has variance 0"):
        lsuv(model, torch.zeros(4, 8))
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match=r"of the layer of 0\.weight has values that are not fin"):
        lsuv(model, torch.full((4, 8), float("inf")))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tol": 0}, ValueError, "tol must be between 0 and 1, received 0"),
        ({"tol": "1"}, TypeError, "tol must be a number"),
        ({"max_iter": 0}, ValueError, "max_iter must be >= 1, received 0"),
        ({"max_iter": 1.5}, TypeError, "max_iter must be an integer, received 1.5"),
        ({"include": "*"}, TypeError, "include must be a sequence of strings"),
        ({"exclude": [3]}, TypeError, "the patterns of exclude must be strings, received 3"),
        ({"seed": -1}, ValueError, "seed must be in"),
    ],
)
def test_arguments_are_checked_before_anything_is_changed(arguments, error, message):
    model = nn.Linear(3, 3)
    before = model.weight.clone()
    with pytest.raises(error, match=message):
        lsuv(model, normals(4, 3), **arguments)
    with pytest.raises(ValueError, match="inputs must be given"):
        lsuv(model)
    assert torch.equal(model.weight, before)


def test_half_precision_and_other_arguments():
    class Keyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(32, 32).requires_grad_(False)

        def forward(self, x, *, scale):
            return (self.layer(x * scale),)

    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        model = Keyword().to(dtype)
        x = normals(64, 32).to(dtype)
        report = lsuv(model, x, kwargs={"scale": 7.0})
        assert model.layer.weight.requires_grad is False
        assert report.weights[0].after == pytest.approx(1, rel=0.02)
        assert report.weights[0].before == pytest.approx(7, rel=0.1)
        assert model.layer.weight.dtype == dtype


def test_conv1d_of_transformers():
    transformers = pytest.importorskip("transformers")
    model = nn.Sequential(transformers.pytorch_utils.Conv1D(24, 6))
    report = lsuv(model, normals(64, 6) * 6)
    matrix = model[0].weight.detach() / report.weights[0].scale
    assert torch.allclose(matrix @ matrix.T, torch.eye(6), atol=1e-5)
    assert report.weights[0].after == pytest.approx(1, rel=1e-5)


def test_what_was_there_before_does_not_count():
    model = deep()
    for parameter in model.parameters():
        parameter.detach().fill_(float("nan"))
    x = normals(64, 64)
    lsuv(model, x)
    again = deep()
    init.ones_(again[0].bias)
    lsuv(again, x)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
