"""What `fastinit create` writes, read by the libraries that load weights.

NumPy's own loading of .npy files, without another library, is in test_create.py.
"""

import accelerate
import ml_dtypes
import numpy as np
import pytest
import safetensors.flax
import safetensors.numpy
import safetensors.torch
import torch
from accelerate.utils import load_state_dict as accelerate_load
from fills import FLOATS, assert_same_bits
from huggingface_hub import load_state_dict_from_file
from safetensors import safe_open
from transformers.modeling_utils import load_state_dict as transformers_load

import fastinit
from fastinit._cli.main import main

# Warnings about other libraries' own code are not ours to fix.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]
OPTIONS = ["--init", "truncated_normal", "--shape", "1000x33", "--seed", "7", "--quiet"]


def bits(array):
    """Return the bits of an array of NumPy, of JAX or of PyTorch, and its shape."""
    if isinstance(array, torch.Tensor):
        return tuple(array.shape), array.contiguous().view(torch.uint8).numpy().tobytes()
    array = np.asarray(array)
    return array.shape, array.tobytes()


def load_model(path):
    """Load into a module, whose dtype is that of the file."""
    with safe_open(path, "pt") as file:
        [(name, tensor)] = [(name, file.get_tensor(name)) for name in file.keys()]  # noqa: SIM118
    model = torch.nn.Module()
    model.register_parameter(name, torch.nn.Parameter(torch.zeros_like(tensor)))
    return model


def load_model_by_safetensors(path):
    model = load_model(path)
    assert safetensors.torch.load_model(model, path) == (set(), [])
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def load_model_by_accelerate(path):
    model = load_model(path)
    accelerate.load_checkpoint_in_model(model, path)
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def read(load):
    def from_bytes(path):
        with open(path, "rb") as file:
            return load(file.read())

    return from_bytes


LOADERS = {
    "safetensors.numpy": safetensors.numpy.load_file,
    "safetensors.numpy, bytes": read(safetensors.numpy.load),
    "safetensors.torch": safetensors.torch.load_file,
    "safetensors.torch, bytes": read(safetensors.torch.load),
    "safetensors.torch, model": load_model_by_safetensors,
    "safetensors.flax": safetensors.flax.load_file,
    "accelerate": accelerate_load,
    "accelerate, device map": lambda path: accelerate_load(path, device_map={"": "cpu"}),
    "accelerate, model": load_model_by_accelerate,
    "transformers": transformers_load,
    "huggingface_hub": load_state_dict_from_file,
}


# safetensors.numpy knows bfloat16 only where it reads the file itself, and JAX has no float64
# unless the whole process is told so.
LACKING = {("safetensors.numpy, bytes", "bfloat16"), ("safetensors.flax", "float64")}


@pytest.mark.parametrize(
    ("loader", "dtype"),
    [(loader, dtype) for loader in LOADERS for dtype in FLOATS if (loader, dtype) not in LACKING],
)
def test_every_loader_gives_the_values(loader, dtype, tmp_path):
    path = str(tmp_path / "a.safetensors")
    assert main(["create", path, *OPTIONS, "--dtype", dtype, "--name", "weight"]) == 0
    [(name, array)] = LOADERS[loader](path).items()
    assert name == "weight"
    assert str(array.dtype).removeprefix("torch.") == dtype
    assert bits(array) == bits(fastinit.truncated_normal((1000, 33), seed=7, dtype=dtype))


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("options", [["--shape", "0x4"], ["--rows", "5:7", "--name", "é.b"]])
def test_every_loader_reads_empty_arrays_and_shards(options, loader, tmp_path):
    path = str(tmp_path / "a.safetensors")
    if loader.endswith("model") and "--name" in options:
        options = options[:-2]  # no name of a parameter has a dot
    assert main(["create", path, *OPTIONS, *options]) == 0
    [(name, array)] = LOADERS[loader](path).items()
    expected = fastinit.truncated_normal((1000, 33), seed=7)[5:7]
    if "--shape" in options:
        expected = expected[:0, :4]
    assert name == ("é.b" if "--name" in options else "weight")
    assert bits(array) == bits(expected)


NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


@pytest.mark.parametrize("dtype", NUMBERS)
def test_other_dtypes(dtype, tmp_path):
    path = str(tmp_path / "a.safetensors")
    assert main(["create", path, "--init", "ones", "--shape", "3x5", "--dtype", dtype]) == 0
    expected = np.ones((3, 5), dtype)
    for loader in ("safetensors.numpy", "safetensors.torch", "accelerate", "transformers"):
        [array] = LOADERS[loader](path).values()
        assert str(array.dtype).removeprefix("torch.") == dtype
        assert bits(array) == bits(expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_torch_maps_the_file(suffix, dtype, tmp_path):
    """The values begin where every dtype may begin, so a map of the file can be viewed as them."""
    path = tmp_path / f"a{suffix}"
    assert main(["create", str(path), *OPTIONS, "--dtype", dtype]) == 0
    size = path.stat().st_size
    storage = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=size)
    mapped = torch.tensor([], dtype=torch.uint8).set_(storage)
    dtype_of_torch = getattr(torch, dtype)
    values = mapped[size - 33_000 * dtype_of_torch.itemsize :].view(dtype_of_torch)
    expected = fastinit.truncated_normal((1000, 33), seed=7, dtype=dtype)
    assert bits(values.reshape(1000, 33)) == bits(expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_torch_takes_what_numpy_loads(dtype, tmp_path):
    path = str(tmp_path / "a.npy")
    assert main(["create", path, *OPTIONS, "--dtype", dtype]) == 0
    for mode in (None, "r+", "c"):
        loaded = np.load(path, mmap_mode=mode)
        if dtype == "bfloat16":
            tensor = torch.from_numpy(loaded.view(np.uint16)).view(torch.bfloat16)
            loaded = loaded.view(ml_dtypes.bfloat16)
        else:
            tensor = torch.from_numpy(loaded)
        expected = fastinit.truncated_normal((1000, 33), seed=7, dtype=dtype)
        assert_same_bits(loaded, expected)
        assert bits(tensor) == bits(expected)


def test_the_metadata(tmp_path):
    path = str(tmp_path / "a.safetensors")
    assert main(["create", path, *OPTIONS]) == 0
    with safe_open(path, "np") as file:
        assert list(file.keys()) == ["weight"]
        assert file.metadata()["seed"] == "7"
        assert file.metadata()["format"] == "pt"
