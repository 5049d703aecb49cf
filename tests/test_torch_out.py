"""Tensors of PyTorch that cannot be filled as ``out``: the message names each."""

import re

import pytest
import torch

import fastinit

pytestmark = [pytest.mark.integration]
NO_MEMORY = "out must be a tensor with memory of its own that NumPy can see, received a "
DTYPES = [torch.float32, torch.bfloat16]


def fill(tensor):
    return fastinit.random_normal(out=tensor, seed=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "transform",
    [torch.vmap, torch.func.grad, torch.func.functionalize, torch.func.jacrev],
    ids=lambda transform: transform.__name__,
)
def test_a_tensor_inside_a_transform(transform, dtype):
    def function(x):
        with pytest.raises(ValueError, match=NO_MEMORY + r"Tensor inside torch\.vmap or torch\.f"):
            fill(x)
        return x.sum()

    tensor = torch.zeros(3, dtype=dtype)
    transform(function)(tensor.reshape(1, 3) if transform is torch.vmap else tensor)
    assert not tensor.any()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
def test_a_nested_tensor(layout, dtype):
    parts = [torch.zeros(2, dtype=dtype), torch.zeros(3, dtype=dtype)]
    nested = torch.nested.nested_tensor(parts, layout=layout)
    name = type(nested).__name__
    with pytest.raises(ValueError, match=f"{NO_MEMORY}{name} that is nested$"):
        fill(nested)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("convert", ["to_sparse", "to_sparse_csr", "to_mkldnn"])
def test_a_tensor_of_another_layout(convert):
    tensor = getattr(torch.zeros(4, 4), convert)()
    message = f"out must be a dense (strided) tensor, received one of layout {tensor.layout}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fill(tensor)


def test_a_view_that_is_negated_is_not_said_to_have_no_memory():
    tensor = torch.zeros(3, dtype=torch.complex64).conj().imag
    with pytest.raises(ValueError, match=r"out must be writeable in place: .*negative bit"):
        fill(tensor)
