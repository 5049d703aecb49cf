"""The values of fastinit.torch.init: those of fastinit's arrays, with PyTorch's fans and gains."""

import math
from inspect import Parameter, signature

import numpy as np
import pytest
import torch
from fills import assert_same_bits
from scipy import stats
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import fastinit
import fastinit.torch
from fastinit.torch import _tensors, init

pytestmark = [pytest.mark.integration]

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
SHAPE = (4, 6, 3, 5)  # of a convolution's kernel: fan_in is 90 and fan_out 60


def array_of(tensor):
    """Return the elements in C order as unsigned integers, which compares NaN and -0.0, too."""
    width = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    elements = tensor.detach().resolve_neg().contiguous()
    return elements.view(width).numpy().view(f"uint{8 * tensor.element_size()}")


def assert_equals(tensor, expected):
    assert str(tensor.dtype) == f"torch.{expected.dtype}"
    assert_same_bits(array_of(tensor), expected)


def orthogonal(shape, seed, dtype):
    matrix = fastinit.orthogonal((shape[0], math.prod(shape[1:])), 2.0, seed, dtype)
    return matrix.reshape(shape)


# Calls, and the arrays of fastinit that they equal.
DRAWS = {
    "uniform_": (
        lambda t, **k: init.uniform_(t, -0.3, 1.1, **k),
        lambda shape, *k: fastinit.random_uniform(shape, -0.3, 1.1, *k),
    ),
    "uniform_ of [0, 1)": (
        lambda t, **k: init.uniform_(t, **k),
        lambda shape, *k: fastinit.random_uniform(shape, 0, 1, *k),
    ),
    "normal_": (
        lambda t, **k: init.normal_(t, 1.0, 2.0, **k),
        lambda shape, *k: fastinit.random_normal(shape, 1.0, 2.0, *k),
    ),
    "normal_ of deviation 1": (
        lambda t, **k: init.normal_(t, **k),
        lambda shape, *k: fastinit.random_normal(shape, 0, 1, *k),
    ),
    "trunc_normal_": (
        lambda t, **k: init.trunc_normal_(t, 0.25, 0.5, -0.5, 2.5, **k),
        lambda shape, *k: fastinit.truncated_normal(shape, 0.25, 0.5, *k, lower=-1.5, upper=4.5),
    ),
    "trunc_normal_ at 2": (
        lambda t, **k: init.trunc_normal_(t, std=0.02, a=-0.04, b=0.04, **k),
        lambda shape, *k: fastinit.truncated_normal(shape, 0, 0.02, *k),
    ),
    "trunc_normal_ without bounds": (
        lambda t, **k: init.trunc_normal_(t, 1.0, 2.0, -math.inf, math.inf, **k),
        lambda shape, *k: fastinit.truncated_normal(
            shape, 1.0, 2.0, *k, lower=-math.inf, upper=math.inf
        ),
    ),
    "kaiming_normal_": (
        lambda t, **k: init.kaiming_normal_(t, nonlinearity="linear", **k),
        lambda shape, *k: fastinit.random_normal(shape, 0, 1 / math.sqrt(90), *k),
    ),
    "xavier_uniform_": (
        lambda t, **k: init.xavier_uniform_(t, 0.5, **k),
        lambda shape, *k: fastinit.random_uniform(
            shape, -0.5 * math.sqrt(6 / 150), 0.5 * math.sqrt(6 / 150), *k
        ),
    ),
    "lecun_normal_": (
        lambda t, **k: init.lecun_normal_(t, **k),
        lambda shape, *k: fastinit.lecun_normal(
            shape, *k, input_axes=(1, 2, 3), output_axes=(0, 2, 3)
        ),
    ),
    "orthogonal_": (lambda t, **k: init.orthogonal_(t, 2.0, **k), orthogonal),
}


def narrow(dtype):
    base = torch.full((6, 8, 5, 7), 9.0, dtype=dtype)
    return base, base[1:5, 1:7, 1:4, 1:6]


# Each makes memory and a view of it of SHAPE.
LAYOUTS = {
    "contiguous": lambda dtype: (base := torch.zeros(SHAPE, dtype=dtype), base),
    "channels_last": lambda dtype: (
        base := torch.zeros(SHAPE, dtype=dtype).to(memory_format=torch.channels_last),
        base,
    ),
    "transposed": lambda dtype: (
        base := torch.zeros(6, 4, 5, 3, dtype=dtype),
        base.transpose(0, 1).transpose(2, 3),
    ),
    "narrow": narrow,
    "rows of a larger one": lambda dtype: (
        base := torch.full((6, *SHAPE[1:]), 9.0, dtype=dtype),
        base[1:5],
    ),
    "steps": lambda dtype: (
        base := torch.full((8, 18, 3, 5), 9.0, dtype=dtype),
        base[::2, ::3],
    ),
    "negative": lambda dtype: (base := torch.zeros(SHAPE, dtype=dtype), torch._neg_view(base)),
    "axes of one": lambda dtype: (
        base := torch.zeros(SHAPE, dtype=dtype),
        base.as_strided(SHAPE, base.stride()),
    ),
}


def test_the_table_of_layouts_has_what_it_says():
    made = {name: make(torch.float32)[1] for name, make in LAYOUTS.items()}
    assert all(tensor.shape == SHAPE for tensor in made.values())
    assert made["negative"].is_neg()
    strided = {name for name, tensor in made.items() if not tensor.is_contiguous()}
    assert strided == {"channels_last", "transposed", "narrow", "steps"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DRAWS)
def test_values_are_those_of_arrays_whatever_the_strides(name, dtype, monkeypatch):
    call, array = DRAWS[name]
    expected = array(SHAPE, 5, dtype)
    for layout, make in LAYOUTS.items():
        for temporary in (_tensors._TEMPORARY, 7):
            monkeypatch.setattr(_tensors, "_TEMPORARY", temporary)
            memory, tensor = make(DTYPES[dtype])
            assert call(tensor, seed=5) is tensor, layout
            assert_equals(tensor, expected)
            # Memory outside the tensor keeps its value.
            assert (memory == 9).sum() == (memory.numel() - tensor.numel()), layout


def test_temporary_arrays_are_no_larger_than_said(monkeypatch):
    sizes = []

    def of_array(array):
        sizes.append(array.size)
        return original(array)

    original = _tensors.of_array
    monkeypatch.setattr(_tensors, "of_array", of_array)
    monkeypatch.setattr(_tensors, "_TEMPORARY", 32)
    for shape in ((100, 3, 7, 2), (1, 1, 500, 4), (2, 1000), (1000, 2)):
        sizes.clear()
        tensor = torch.zeros(shape).transpose(0, -1).contiguous().transpose(0, -1)
        assert not tensor.is_contiguous()
        init.normal_(tensor, seed=3)
        assert_equals(tensor, fastinit.random_normal(shape, 0, 1, 3))
        assert len(sizes) >= tensor.numel() / 32
        assert max(sizes) <= 32
        assert sum(sizes) == tensor.numel()


@pytest.mark.parametrize("shape", [(), (1,), (7,), (1, 1), (3, 1), (1, 0, 2)])
def test_shapes_of_few_elements(shape):
    for draw in ("uniform_", "normal_", "trunc_normal_"):
        call, array = DRAWS[draw]
        assert_equals(call(torch.zeros(shape), seed=2), array(shape, 2, "float32"))
    if len(shape) == 2:
        matrix = init.orthogonal_(torch.zeros(shape), seed=2)
        assert_equals(matrix, fastinit.orthogonal(shape, 1.0, 2))


def test_arguments_are_those_of_pytorch():
    """Names, order and defaults are PyTorch's; timm's for the two functions that only timm has."""
    missing = set(torch.nn.init.__all__) - set(init.__all__)
    assert all(not name.endswith("_") for name in missing)  # the deprecated names
    for name in init.__all__:
        if name == "calculate_gain":
            continue
        ours = dict(signature(getattr(init, name)).parameters)
        if "generator" in ours:
            seed = ours.pop("seed")
            assert seed.kind is Parameter.KEYWORD_ONLY
            assert seed.default is None
        found = [(name, p.default) for name, p in ours.items()]
        if name == "variance_scaling_":
            expected = [("scale", 1.0), ("mode", "fan_in"), ("distribution", "normal")]
        elif name == "lecun_normal_":
            expected = []
        else:
            theirs = signature(getattr(torch.nn.init, name)).parameters
            assert found == [(name, p.default) for name, p in theirs.items()], name
            continue
        expected = [("tensor", Parameter.empty), *expected, ("generator", None)]
        assert found == expected


class Recorded(TorchDispatchMode):
    """Record what PyTorch draws, and by which parameters."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        # PyTorch leaves out what equals the default, here of a standard normal.
        self.found = func.overloadpacket.__name__, args[1:] + (0, 1)[len(args) - 1 :]
        return func(*args, **(kwargs or {}))


def parameters_in_pytorch(function, *arguments):
    with Recorded() as recorded:
        function(*arguments)
    return recorded.found


CALLS = [
    *[("xavier_uniform_", (gain,)) for gain in (1.0, 0.02, 5 / 3)],
    *[("xavier_normal_", (gain,)) for gain in (1.0, 0.02, 5 / 3)],
    *[
        (name, (slope, mode, nonlinearity))
        for name in ("kaiming_uniform_", "kaiming_normal_")
        for slope in (0, 0.3, math.sqrt(5), None)
        for mode in ("fan_in", "fan_out", "FAN_OUT")
        for nonlinearity in ("leaky_relu", "relu", "tanh", "selu", "sigmoid", "conv_transpose2d")
    ],
]


@pytest.mark.parametrize("shape", [(10, 784), (5, 1), (6, 4, 3), (6, 4, 3, 2), (2, 3, 4, 5, 6)])
def test_fans_and_gains_are_those_of_pytorch(shape):
    for name, arguments in CALLS:
        tensor = torch.empty(shape, dtype=torch.float64)
        kind, (first, second) = parameters_in_pytorch(
            getattr(torch.nn.init, name), tensor, *arguments
        )
        array = fastinit.random_uniform if kind == "uniform_" else fastinit.random_normal
        expected = array(shape, first, second, 3, "float64")
        getattr(init, name)(tensor, *arguments, seed=3)
        assert np.allclose(tensor.numpy(), expected, rtol=1e-14, atol=1e-300), (name, arguments)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_variance_scaling_has_pytorchs_fans_and_timms_names(mode, distribution):
    for shape in ((8, 5), SHAPE):
        window = tuple(range(2, len(shape)))
        tensor = init.variance_scaling_(
            torch.empty(shape, dtype=torch.float64), 1.7, mode, distribution, seed=4
        )
        # Keras's "normal" is truncated, timm's is not.
        name = "untruncated_normal" if distribution == "normal" else distribution
        axes = {"input_axes": (1, *window), "output_axes": (0, *window)}
        expected = fastinit.variance_scaling(shape, 1.7, mode, name, 4, "float64", **axes)
        assert np.allclose(tensor.numpy(), expected, rtol=1e-14, atol=1e-300)


def test_standard_deviations_of_layers():
    """The wrong layout would give 0.448 for the first and 0.0090 for the second.

    The standard error of each is at most 0.8%, and the tolerance is 5 of them.
    """
    for layer, std in (
        (torch.nn.Linear(784, 10), math.sqrt(2 / 784)),
        (torch.nn.Conv2d(64, 128, 3), math.sqrt(2 / 576)),
        (torch.nn.ConvTranspose2d(64, 128, 3), math.sqrt(2 / 1152)),  # as PyTorch counts its fans
    ):
        init.kaiming_normal_(layer.weight, seed=1)
        assert layer.weight.std().item() == pytest.approx(std, rel=0.04)


def test_gains_are_those_of_the_documentation():
    for name in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose3d", "sigmoid"):
        assert init.calculate_gain(name) == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 0.5) == math.sqrt(2 / 1.25)
    assert init.calculate_gain("selu") == 0.75
    with pytest.raises(ValueError, match="Unsupported nonlinearity swish"):
        init.calculate_gain("swish")


# float16, float64 and bfloat16 have significands of 11, 53 and 8 bits.
@pytest.mark.parametrize(
    ("dtype", "error"),
    [("float32", 3e-6), ("float64", 1e-14), ("float16", 1e-2), ("bfloat16", 0.1)],
)
@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (64, 2, 3, 3), (5, 5), (1, 7), (7, 1), (9, 4, 2)])
def test_kernels_of_convolutions_are_orthogonal(shape, dtype, error):
    tensor = init.orthogonal_(torch.empty(shape, dtype=DTYPES[dtype]), 1.5, seed=6)
    matrix = tensor.reshape(shape[0], -1).double()
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows < columns else matrix.T @ matrix
    assert abs(product - 2.25 * torch.eye(min(rows, columns))).max() < error
    flat = fastinit.orthogonal((rows, columns), 1.5, 6, dtype)
    assert_equals(tensor, flat.reshape(shape))


def test_dirac_keeps_the_input_of_each_group():
    generator = torch.Generator().manual_seed(1)
    for ndim, convolve in ((1, functional.conv1d), (2, functional.conv2d), (3, functional.conv3d)):
        for groups, out, inside in ((1, 6, 6), (3, 6, 2), (2, 8, 3), (1, 3, 5)):
            kernel = torch.full((out, inside, *(3, 5, 3)[:ndim]), 7.0)
            assert init.dirac_(kernel, groups) is kernel
            x = torch.randn(2, inside * groups, *(4, 5, 6)[:ndim], generator=generator)
            y = convolve(x, kernel, padding=tuple(n // 2 for n in kernel.shape[2:]), groups=groups)
            kept = min(out // groups, inside)
            for group in range(groups):
                found = y[:, group * (out // groups) :][:, : out // groups]
                assert torch.equal(found[:, :kept], x[:, group * inside :][:, :kept])
                assert not found[:, kept:].any()
    with pytest.raises(ValueError, match="divisible by groups"):
        init.dirac_(torch.empty(5, 2, 3), 2)
    with pytest.raises(ValueError, match="3, 4, or 5 dimensions"):
        init.dirac_(torch.empty(5, 2))


@pytest.mark.parametrize("dtype", [*DTYPES.values(), torch.int64, torch.complex64, torch.bool])
def test_what_draws_nothing_takes_all_dtypes(dtype):
    for shape in ((3, 5), (5, 3)):
        for make in (torch.empty, lambda n, m, dtype: torch.empty(m, n, dtype=dtype).t()):
            tensor = make(*shape, dtype=dtype)
            assert init.eye_(tensor) is tensor
            assert torch.equal(tensor, torch.eye(*shape, dtype=dtype))
            assert init.zeros_(tensor) is tensor
            assert not tensor.any()
            assert init.ones_(tensor) is tensor
            assert torch.equal(tensor, torch.ones(shape, dtype=dtype))
            assert init.constant_(tensor, 0) is tensor
            assert not tensor.any()
    if dtype.is_floating_point:
        assert (init.constant_(torch.empty(3, dtype=dtype), -0.375) == -0.375).all()


def test_sparse_has_that_many_zeros_in_each_column():
    for rows, columns, sparsity in (
        *[(10, 4, share) for share in (0, 0.1, 0.25, 0.3, 0.999, 1)],
        (100, 7, 0.29),  # 0.29 * 100 is a little less than 29
        (1, 5, 0.5),
        (7, 1, 0.5),
    ):
        for tensor in (torch.empty(rows, columns), torch.empty(columns, rows).t()):
            assert init.sparse_(tensor, sparsity, 0.5, seed=8) is tensor
            zeros = (tensor == 0).sum(dim=0)
            assert (zeros == math.ceil(sparsity * rows)).all()
            expected = fastinit.random_normal((rows, columns), 0, 0.5, 8)
            kept = tensor.numpy() != 0
            assert np.array_equal(tensor.numpy()[kept], expected[kept])


def test_zeros_of_sparse_are_anywhere_and_independent_of_the_values():
    """Each p-value is below 1e-6 for one in a million seeds."""
    tensor = init.sparse_(torch.empty(12, 5000), 0.25, 1.0, seed=9)
    zeros = tensor.numpy() == 0
    # A row is zero in a quarter of the columns; the 12 counts sum to a constant.
    counts = zeros.sum(axis=1)
    statistic = ((counts - 1250) ** 2 / (5000 * 0.25 * 0.75)).sum() * 11 / 12
    assert stats.chi2.sf(statistic, 11) > 1e-6
    assert len(np.unique(zeros, axis=1).T) == math.comb(12, 3)
    assert stats.kstest(tensor.numpy()[~zeros], "norm").pvalue > 1e-6
    # The value that a zero hides is one like the others.
    hidden = fastinit.random_normal((12, 5000), 0, 1, 9)[zeros]
    assert stats.kstest(hidden, "norm").pvalue > 1e-6


TRUNCATED = [
    (0, 1, -2, 2),
    (0, 0.02, -2, 2),
    (0.1, 0.7, -0.6, 3.9),
    (0, 1, -0.3, 0.1),
    (0, 1, 1, 3),
    (0, 1, 6, 6.5),
    (5, 0.5, -1, 1),
    (-3, 2, -math.inf, -2.5),
    (0, 1, 4, math.inf),
    (-1, 3, -math.inf, math.inf),
    (0, 1, 35, 40),
    (100, 10, -math.inf, 20),
]


@pytest.mark.parametrize("parameters", TRUNCATED)
def test_distribution_of_truncated_normals(parameters):
    """24 p-values: each is below 1e-6 for one in a million seeds, so for 24 in a million any is.

    SciPy's truncnorm is accurate in the tails, where some bounds lie.
    """
    mean, std, a, b = parameters
    law = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    for dtype in ("float32", "float64"):
        tensor = init.trunc_normal_(torch.empty(20_000, dtype=DTYPES[dtype]), *parameters, seed=11)
        assert stats.kstest(tensor.double().numpy(), law.cdf).pvalue > 1e-6


def next_inside(value, towards, dtype):
    """Return the number of the dtype that is the nearest on that side of a real number."""
    kind = np.empty(0, dtype).dtype.type
    found = kind(value)
    if (float(found) < value) if towards > 0 else (float(found) > value):
        found = np.nextafter(found, kind(towards))
    return float(found)


def random_bounds(generator, dtype):
    """Yield means, standard deviations and bounds of all kinds."""
    digits = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}[dtype]
    for _ in range(150):
        std = 10 ** generator.uniform(-2, 1)
        mean = generator.choice([0, 10 ** generator.uniform(-2, 1), -1.0, 1 / 3])
        kind = generator.integers(5)
        if kind == 0:  # around the mean
            a, b = mean - generator.uniform(0, 6) * std, mean + generator.uniform(0, 6) * std
        elif kind == 1:  # both on one side
            far = generator.choice([-1, 1]) * generator.uniform(0, 30)
            a, b = sorted((mean + far * std, mean + (far + generator.uniform(0, 3)) * std))
        elif kind == 2:
            a, b = mean + generator.uniform(-3, 3) * std, math.inf
        elif kind == 3:
            a, b = -math.inf, mean + generator.uniform(-3, 3) * std
        else:  # a few numbers of the dtype
            a = mean + generator.uniform(-3, 3) * std
            b = a + abs(a) * 2.0**-digits * generator.uniform(0.1, 6)
        if a < b:
            yield mean, std, a, b


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncated_normals_lie_between_their_bounds(dtype):
    """After rounding, too, unless the dtype has no number between them."""
    between = 0
    cases = [*random_bounds(np.random.default_rng(12), dtype)]
    # Where mean + bound * std cancels, it must not be rounded outwards.
    cases += [(1.0, 0.3, n * 2.0**-54, (n + 4) * 2.0**-54) for n in range(1, 40)]
    for mean, std, a, b in cases:
        tensor = init.trunc_normal_(torch.empty(500, dtype=DTYPES[dtype]), mean, std, a, b, seed=13)
        values = tensor.double().numpy()
        low, high = next_inside(a, math.inf, dtype), next_inside(b, -math.inf, dtype)
        if low > high:  # these are the two around the bounds
            low, high = high, low
        else:
            between += 1
        assert low <= values.min(), (mean, std, a, b)
        assert values.max() <= high, (mean, std, a, b)
    assert between > 100


def test_bounds_that_pytorch_rounds_away():
    """0.04 is 0.0400390625 in bfloat16, and 0.1 is more in float32."""
    for dtype, bound in ((torch.bfloat16, 0.04), (torch.float32, 0.1), (torch.float16, 0.3)):
        for a, b in ((-bound, bound), (bound, 2 * bound), (-2 * bound, -bound)):
            tensor = init.trunc_normal_(torch.empty(4000, dtype=dtype), 0, 5 * bound, a, b, seed=1)
            values = tensor.double()
            assert values.min() >= a
            assert values.max() <= b


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncated_normals_of_one_value(dtype):
    def filled(*parameters):
        tensor = init.trunc_normal_(torch.zeros(3, dtype=DTYPES[dtype]), *parameters, seed=1)
        assert (tensor == tensor[0]).all()
        return tensor[0].item()

    def rounded(value):
        return torch.tensor(value, dtype=DTYPES[dtype]).item()

    assert filled(0, 1, 0.1, 0.1) == rounded(0.1)
    assert filled(7, 1, 0.3, 0.3) == rounded(0.3)
    assert filled(0.3, 0, -1, 1) == rounded(0.3)
    assert filled(0.3, 0, -math.inf, math.inf) == rounded(0.3)
    assert filled(0, 0, 0.25, 1) == 0.25
    assert filled(5, 0, -1, 1) == 1
    for bound in (0.1, 0.3, 0.7, 1 / 3):  # some of them are rounded up, others down
        assert bound <= filled(0, 0, bound, 2) < bound * 1.02
        assert bound * 0.98 < filled(3, 0, -1, bound) <= bound


def test_bounds_far_away():
    """In float64, the differences of the arguments may be no finite numbers."""
    tensor = torch.empty(500, dtype=torch.float64)
    for mean, std, a, b in (
        (1e308, 1e300, -1.7e308, 1.7e308),
        (1e308, 1e306, -1.7e308, math.inf),
        (0.0, 1e-320, -1.0, 1.0),
        (0.0, 1e-300, -1e300, 1e-300),
        (2.0, 1e-5, -math.inf, 1e308),
    ):
        init.trunc_normal_(tensor, mean, std, a, b, seed=1)
        assert tensor.min() >= max(a, mean - 14 * std)
        assert tensor.max() <= min(b, mean + 14 * std)
        assert len(tensor.unique()) > 100
    init.trunc_normal_(tensor, 1e308, 1e300, -1.7e308, 0.0, seed=1)  # 10^8 deviations away
    assert tensor.min() >= -1e295
    assert tensor.max() <= 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_upper_bound_of_uniform_is_never_drawn(dtype):
    for a, b in ((0.0, 1.0), (-0.3, 1.1), (1.0, 1.01), (0.1, 0.1001)):
        tensor = init.uniform_(torch.empty(30_000, dtype=DTYPES[dtype]), a, b, seed=3).double()
        if next_inside(a, math.inf, dtype) < b:
            assert tensor.min() >= a, (a, b)
            assert tensor.max() < b, (a, b)
    assert (init.uniform_(torch.empty(5, dtype=DTYPES[dtype]), 0.5, 0.5) == 0.5).all()


def test_bounds_closer_than_any_window():
    tensor = init.trunc_normal_(torch.empty(50, dtype=torch.float64), 0, 1, 0, 1e-300, seed=1)
    assert 0 <= tensor.min() < tensor.max() <= 1e-300
