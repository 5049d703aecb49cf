"""out= takes the CPU tensors of PyTorch, without a copy."""

import gc
import json
import re
import sys
import weakref
from functools import partial

import numpy as np
import pytest
import torch
from fills import assert_same_bits
from processes import mount_prefix, run_python

import fastinit
import fastinit.torch
from fastinit import initializers

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
pytestmark = [pytest.mark.integration]

he_normal = partial(fastinit.he_normal, input_axes=[1], output_axes=[0])  # PyTorch's layout


def bits(tensor):
    width = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.detach().view(width).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "function", [fastinit.random_normal, fastinit.random_uniform, he_normal, fastinit.ones]
)
def test_tensors_are_filled_in_place(function, dtype):
    expected = function((6, 5), dtype=dtype, **({} if function is fastinit.ones else {"seed": 1}))
    tensor = torch.zeros(6, 5, dtype=DTYPES[dtype])
    parameter = torch.nn.Parameter(torch.zeros(6, 5, dtype=DTYPES[dtype]))
    rows = torch.zeros(8, 5, dtype=DTYPES[dtype])
    for out in (tensor, parameter, rows[1:7]):
        address = out.data_ptr()
        if function is fastinit.ones:
            assert function(out=out) is out
        else:
            assert function(out=out, seed=1) is out
        assert out.data_ptr() == address
        assert np.array_equal(bits(out), expected.view(bits(out).dtype))
    assert not rows[0].any()
    assert not rows[7].any()


def test_parts_of_a_lazy_array():
    lazy = initializers.TruncatedNormal(seed=1).lazy((2**40, 16), "bfloat16")
    out = torch.zeros(3, 16, dtype=torch.bfloat16)
    assert lazy.read([5, 2**39, 5], out) is out
    assert_same_bits(bits(out).view("uint16"), lazy[[5, 2**39, 5]].view("uint16"))
    for ids in ([5, 2**39], [7], [[7]]):  # PyTorch takes an array of one integer for that integer
        assert_same_bits(lazy[torch.tensor(ids)], lazy[ids])
    assert_same_bits(lazy[torch.tensor(7)], lazy[7])


BAD = {
    "integers": (lambda: torch.zeros(4, dtype=torch.int32), TypeError, "out must have dtype"),
    "a transposed one": (lambda: torch.zeros(4, 3).t(), ValueError, "out must be C-contiguous"),
    "an expanded one": (lambda: torch.zeros(3).expand(2, 3), ValueError, "out must be C-contig"),
    "a sparse one": (lambda: torch.zeros(4).to_sparse(), ValueError, "received one of layout"),
    "of 8 bits": (
        lambda: torch.zeros(4, dtype=torch.float8_e4m3fn),
        TypeError,
        "out has a dtype that NumPy lacks: torch.float8_e4m3fn",
    ),
    "one that is not there": (
        lambda: torch.zeros(4, device="meta"),
        ValueError,
        "out must be in the memory of the CPU, received one on meta",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case):
    make, error, message = BAD[case]
    with pytest.raises(error, match=re.escape(message)):
        fastinit.random_normal(out=make(), seed=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_refused_tensor_keeps_its_version_and_its_gradient(dtype):
    x = torch.ones(3, 1, 5, requires_grad=True, dtype=DTYPES[dtype])
    y = (x * x).sum()
    lazy = initializers.RandomNormal(seed=1).lazy((4, 3, 1, 5), dtype)
    keyed = initializers.RandomNormal(seed=1).keyed(5, dtype)
    for call in (
        lambda: fastinit.random_normal(out=x, stddev=-1),
        lambda: fastinit.random_normal(out=x, seed=-1),
        lambda: fastinit.random_normal((3, 5), out=x),
        lambda: fastinit.random_uniform(out=x, dtype="int32"),
        lambda: fastinit.he_normal(out=x),
        lambda: fastinit.he_normal(out=x, input_axes=[0]),
        lambda: fastinit.random_bits(out=x),
        lambda: fastinit.constant(out=x, value="one"),
        lambda: fastinit.identity(out=x),
        lambda: fastinit.orthogonal(out=x),
        lambda: fastinit.orthogonal(out=x, batch_axis=1),
        lambda: fastinit.delta_orthogonal(out=x),
        lambda: fastinit.stft(out=x, window=[1.0]),
        lambda: lazy.read(4, x),
        lambda: lazy.read([0, 1], x),
        lambda: keyed.read([1, 2], x),
    ):
        with pytest.raises((ValueError, TypeError, IndexError)):
            call()
        assert x._version == 0
    y.backward()
    assert (x.grad == 2).all()
    for made, call in enumerate((fastinit.zeros, he_normal), 1):
        call(out=x)
        assert x._version == made
    lazy.read(1, x)
    assert x._version == 3


def test_a_full_disk_or_no_memory_keeps_the_version(monkeypatch):
    def fails(*arguments):
        raise MemoryError

    monkeypatch.setattr("fastinit.initializers._orthogonal._work_space", fails)
    tensor = torch.ones(3, 4)
    with pytest.raises(MemoryError):
        fastinit.orthogonal(out=tensor)
    assert tensor._version == 0


def test_dtypes():
    for name, dtype in DTYPES.items():
        parameter = torch.nn.Parameter(torch.zeros(3, 4, dtype=dtype))
        made = fastinit.he_normal((3, 4), seed=1, dtype=parameter.dtype)
        assert_same_bits(made, fastinit.he_normal((3, 4), seed=1, dtype=name))
        assert he_normal((3, 4), seed=1, dtype=dtype, out=parameter) is parameter
        assert initializers.RandomNormal().lazy(3, dtype).dtype.name == name
        assert initializers.RandomNormal().keyed(3, dtype).dtype.name == name
    assert fastinit.random_bits(3, dtype=torch.uint64).dtype == "uint64"
    assert fastinit.ones(3, torch.bool).dtype == "bool"
    for dtype in (torch.int32, torch.float8_e4m3fn, torch.complex64):
        with pytest.raises(TypeError, match=f"dtype must be float32.*, received {dtype}"):
            fastinit.random_normal(3, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_of_tensors(dtype):
    values = torch.tensor([1.5, -2.0, 0.25], dtype=DTYPES[dtype])
    for tensor in (values, torch.nn.Parameter(values), values.requires_grad_() * 1):
        constant = initializers.Constant(tensor)
        again = initializers.get(json.loads(json.dumps(initializers.serialize(constant))))
        for initializer in (constant, again, initializers.get(tensor)):
            assert initializer(3).tolist() == [1.5, -2.0, 0.25]
            assert initializer(3, tensor.dtype).dtype.name == dtype
    assert np.array_equal(initializers.Constant(values).lazy((2, 3))[1], [1.5, -2.0, 0.25])


def test_shapes():
    expected = fastinit.he_normal((4, 3), seed=1)
    sizes = torch.tensor([4, 3])
    for shape in (torch.Size([4, 3]), sizes, (sizes[0], 3), torch.empty(4, 3).shape):
        assert_same_bits(initializers.HeNormal(seed=1)(shape), expected)
        assert_same_bits(initializers.HeNormal(seed=1).lazy(shape)[...], expected)
    absent = sizes.to("meta")
    for shape in (absent, (absent[0], 3), torch.tensor([4.0, 3.0]), torch.float32):
        for call in (fastinit.he_normal, initializers.HeNormal(), initializers.HeNormal().lazy):
            with pytest.raises(TypeError, match="shape must be an integer or a sequence of them"):
                call(shape)
    with pytest.raises(ValueError, match="identifier must name or be an initializer"):
        initializers.get(absent)


def test_a_dtensor_is_filled_by_its_local_part(tmp_path):
    from torch import distributed
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        mesh = init_device_mesh("cpu", (1,))
        tensor = distribute_tensor(torch.zeros(4, 3), mesh, [Shard(0)])
        lazy = initializers.HeNormal(seed=1).lazy((4, 3))
        for out in (tensor, torch.nn.Parameter(tensor)):
            for call in (
                lambda out=out: fastinit.he_normal(out=out, seed=1),
                lambda out=out: fastinit.zeros(out=out),
                lambda out=out: lazy.read(..., out),
            ):
                with pytest.raises(ValueError, match=r"a DTensor, .*out\.to_local\(\).*lazy\.read"):
                    call()
        lazy.read(..., tensor.to_local())
        assert np.array_equal(tensor.full_tensor().numpy(), lazy[...])
    finally:
        distributed.destroy_process_group()


def test_a_gradient_of_values_that_are_gone_is_an_error():
    parameter = torch.nn.Parameter(torch.ones(3))
    loss = (parameter * parameter).sum()
    fastinit.random_normal(seed=1, out=parameter)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    with torch.inference_mode():
        fastinit.random_normal(seed=1, out=torch.ones(3))


FULL = """
import errno, subprocess, sys
import numpy as np, torch
import fastinit
directory, n = sys.argv[1], 16 << 20
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", directory], check=True)
mapped = np.memmap(directory + "/a", "float32", "w+", shape=n)
for out in (
    torch.from_numpy(mapped),
    torch.frombuffer(mapped, dtype=torch.float32),
    torch.from_dlpack(np.asarray(mapped)),
    torch.from_file(directory + "/b", shared=True, size=n),
    torch.from_file(directory + "/c", shared=True, size=n).view(torch.bfloat16),
):
    for size in (n, 5000):
        try:
            for at in range(0, n, size):
                fastinit.random_normal(out=out[at : at + size], seed=1)
        except OSError as error:
            print(errno.errorcode[error.errno])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_full_disk_behind_a_tensor(tmp_path):
    assert run_python(FULL, tmp_path, prefix=mount_prefix(tmp_path)).split() == ["ENOSPC"] * 10


LIMITS = """
import fastinit
import threadpoolctl, torch
fastinit.set_num_threads(8)
with threadpoolctl.threadpool_limits(1):
    print(fastinit.get_num_threads())
print(fastinit.get_num_threads())
torch.set_num_threads(3)
shared = len([i for i in threadpoolctl.threadpool_info() if i["user_api"] == "openmp"]) == 1
print(fastinit.get_num_threads() == (3 if shared else 8))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a shared OpenMP has the same name there")
def test_limits_of_threadpoolctl_and_pytorch():
    """PyTorch's limit is respected where it has no OpenMP of its own."""
    assert run_python(LIMITS).split() == ["1", "8", "True"]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_tensors_without_memory_of_their_own_are_named():
    with torch._subclasses.FakeTensorMode():
        fake = torch.zeros(3)
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    for tensor, name in ((fake, "FakeTensor"), (nested, "Tensor")):
        with pytest.raises(ValueError, match=f"memory of its own .* received a {name}"):
            fastinit.random_normal(out=tensor, seed=1)


def test_a_value_without_memory_is_named():
    with pytest.raises(TypeError, match="value must be a number or an array of numbers"):
        fastinit.constant(3, torch.ones(3, device="meta"))


SCALINGS = {
    "variance_scaling": "variance_scaling_",
    "lecun_uniform": "variance_scaling_",
    "lecun_normal": "lecun_normal_",
    "glorot_uniform": "xavier_uniform_",
    "glorot_normal": "xavier_normal_",
    "he_uniform": "kaiming_uniform_",
    "he_normal": "kaiming_normal_",
    "standard_uniform": "kaiming_uniform_",
}


def refused(call, tensor, *words):
    """Return the message of a call that must raise, and leave the tensor and the seed alone."""
    before, version, seeds = tensor.detach().clone(), tensor._version, fastinit.SeedGenerator(5)
    with pytest.raises(ValueError, match=r"out must not be a PyTorch tensor") as error:
        call(out=tensor, seed=seeds)
    assert tensor._version == version
    assert torch.equal(tensor, before)
    assert seeds.next() == fastinit.SeedGenerator(5).next()
    message = str(error.value)
    for word in ("(*window, in, out)", "(out, in, *window)", "tensor.detach().numpy()", *words):
        assert word in message
    return message


def in_torch(message, tensor, seed):
    """Fill a tensor by the function of fastinit.torch.init that a message names."""
    name, arguments = re.search(r"fastinit\.torch\.init\.(\w+)(\(tensor.*?\))?", message).groups()
    function = partial(getattr(fastinit.torch.init, name), seed=seed)
    return eval(f"function{arguments or '(tensor)'}", {"function": function, "tensor": tensor})


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("shape", [(300, 100), (60, 20, 5), (64, 48, 3, 3), (24, 8, 2, 3, 4)])
def test_fans_of_a_tensor_whose_layout_is_not_known_are_refused(name, shape):
    function = getattr(fastinit, name)
    weight = torch.nn.Parameter(torch.zeros(shape))
    window = list(range(2, len(shape)))
    inputs, outputs = [1, *window], [0, *window]
    message = refused(
        function,
        weight,
        f"received one of shape {shape}",
        f"fastinit.torch.init.{SCALINGS[name]}",
        f"input_axes={inputs}, output_axes={outputs}",
    )
    refused(partial(function, shape), weight)
    # What the message names is right: the variance is that of PyTorch's fans.
    filled = function(out=weight, seed=1, input_axes=inputs, output_axes=outputs).detach().clone()
    entry = getattr(initializers, name)()
    fans = torch.nn.init._calculate_fan_in_and_fan_out(weight)
    fan = {"fan_in": fans[0], "fan_avg": sum(fans) / 2}[entry.mode]
    named = in_torch(message, torch.zeros(shape), seed=1)
    for tensor in (filled, named):
        # Eight standard errors of a uniform or normal standard deviation.
        assert abs(tensor.std().item() / (entry.scale / fan) ** 0.5 - 1) < 8 / (2 * 4608) ** 0.5
    if entry.distribution == "uniform":
        torch.testing.assert_close(named, filled, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", SCALINGS)
def test_fans_that_no_layout_changes_or_that_are_given_are_not_refused(name):
    function = getattr(fastinit, name)
    for shape in ((), (7,)):
        function(out=torch.zeros(shape), seed=1)
    weight = torch.zeros(20, 7)
    expected = function((20, 7), seed=1)
    function(out=weight.numpy(), seed=1)
    assert_same_bits(weight.numpy(), expected)
    function(out=weight.zero_(), seed=1, input_axes=iter([0]), output_axes=iter([1]))
    assert_same_bits(weight.numpy(), expected)
    with pytest.raises(ValueError, match="input_axes and output_axes must be given together"):
        function(out=weight, seed=1, input_axes=[1])


def test_orthogonal_kernels_in_a_tensor_are_refused():
    weight = torch.nn.Conv2d(8, 16, 3).weight
    message = refused(fastinit.orthogonal, weight, "3 or more dimensions", "received one of shape")
    matrix = in_torch(message, weight, seed=1).detach().reshape(16, 72)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(16), rtol=0, atol=1e-5)
    experts = torch.zeros(4, 5, 6, 7)
    refused(partial(fastinit.orthogonal, batch_axis=0), experts, "dimensions besides batch_axis")
    # A matrix, or a stack of them, is right in both layouts.
    for shape, axes in (((5, 3), None), ((3, 5), None), ((4, 5, 3), 0), ((2, 4, 5, 3), (0, 1))):
        tensor = fastinit.orthogonal(out=torch.zeros(shape), seed=1, batch_axis=axes)
        assert_same_bits(tensor.numpy(), fastinit.orthogonal(shape, seed=1, batch_axis=axes))


@pytest.mark.parametrize("window", [(3,), (3, 4), (3, 3, 3)])
def test_delta_orthogonal_kernels_in_a_tensor_are_refused(window):
    weight = torch.nn.Parameter(torch.zeros(16, 8, *window))
    message = refused(fastinit.delta_orthogonal, weight)
    (copy,) = re.search(r"(tensor\.copy_\(.*?\)\)\));", message).groups()
    kernel = fastinit.delta_orthogonal((*window, 8, 16), seed=1)
    tensor = weight.detach()
    eval(copy, {"torch": torch, "kernel": kernel, "tensor": tensor})
    middle = tensor[(..., *((n - 1) // 2 for n in window))]
    torch.testing.assert_close(middle.T @ middle, torch.eye(8), rtol=0, atol=1e-5)
    assert tensor.count_nonzero() == middle.count_nonzero() == 16 * 8


def test_a_refused_layout_holds_no_reference():
    for function, shape in ((fastinit.he_normal, (4, 3)), (fastinit.orthogonal, (4, 3, 2))):
        tensor = torch.zeros(shape)
        gone = weakref.ref(tensor)
        with pytest.raises(ValueError, match="out must not be a PyTorch tensor") as error:
            function(out=tensor)
        del tensor
        gc.collect()
        assert gone() is None
        assert error.value.__traceback__ is not None


def test_the_layout_is_checked_without_an_import():
    code = """
import sys, numpy, fastinit
fastinit.he_normal(out=numpy.empty((4, 3), "float32"))
fastinit.he_normal(out=memoryview(bytearray(48)).cast("f", (4, 3)))
fastinit.orthogonal(out=numpy.empty((4, 3, 2), "float32"))
fastinit.delta_orthogonal(out=numpy.empty((3, 4, 4), "float32"))
print("torch" in sys.modules)
"""
    assert run_python(code) == "False"
