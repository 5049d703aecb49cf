"""Small models, most of sizes that no mesh divides, for the tests of fastinit.torch.initialize."""

import math

import torch
from torch import nn
from torch.nn import init


class Encoder(nn.Module):
    """PyTorch's own encoder behind an embedding with a padding row, which stays zero."""

    def __init__(self, layers=2):
        super().__init__()
        self.embed = nn.Embedding(13, 10, padding_idx=1)
        layer = nn.TransformerEncoderLayer(10, 2, 14, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(10, 7)

    def blocks(self):
        return list(self.encoder.layers)


class Layers(nn.Module):
    """Other layers that write parameters or buffers in ways of their own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 7, 3)
        self.transposed = nn.ConvTranspose1d(5, 3, 2)
        self.norm = nn.BatchNorm2d(7)
        self.lstm = nn.LSTM(5, 3, num_layers=2, bidirectional=True)
        self.attention = nn.MultiheadAttention(6, 2, kdim=5, vdim=7, add_bias_kv=True)
        self.bilinear = nn.Bilinear(3, 5, 7)
        self.slope = nn.PReLU(5)

    def blocks(self):
        return [self.conv, self.lstm, self.attention]


class Mixer(nn.Module):
    """Parameters as Mamba makes them: by arithmetic with temporary random numbers."""

    def __init__(self, size=5):
        super().__init__()
        self.rate = nn.Parameter(torch.empty(size))
        self.states = nn.Parameter(torch.empty(size, 3))
        self.skip = nn.Parameter(torch.empty(size))
        self.noise = nn.Parameter(torch.empty(size, 2))
        self.reset_parameters()

    def reset_parameters(self):
        size, states = self.states.shape
        step = torch.exp(torch.rand(size) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
        step = step.clamp(min=1e-4)
        with torch.no_grad():
            self.rate.copy_(step + torch.log(-torch.expm1(-step)))
            self.states.copy_(torch.log(torch.arange(1, states + 1).float()).expand(size, -1))
            self.skip.data.fill_(1.0)
            self.noise.data = torch.randn(size, 2).mul_(0.02)


class Rows(nn.Module):
    """Parameters that are written through views, replaced, or drawn in unusual ways."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Parameter(torch.empty(15, 5))
        self.held = nn.Parameter(torch.empty(7, 6))
        self.chunks = nn.Parameter(torch.empty(9, 4))
        self.turned = nn.Parameter(torch.empty(7, 5))
        self.scaled = nn.Parameter(torch.empty(7, 3))
        self.masked = nn.Parameter(torch.empty(5, 5))
        self.rates = nn.Parameter(torch.empty(7))
        self.waves = nn.Parameter(torch.empty(5, 3, dtype=torch.complex64))
        self.steps = nn.Parameter(torch.empty(5, dtype=torch.int64), requires_grad=False)
        self.wide = nn.Parameter(torch.empty(7, 3, dtype=torch.float64))
        self.replaced = nn.Parameter(torch.empty(5, 3))
        self.outer = nn.Parameter(torch.empty(6, 5))
        self.order = nn.Parameter(torch.empty(7), requires_grad=False)
        self.normed = nn.Parameter(torch.empty(7, 4))
        self.last = nn.Parameter(torch.empty(8))
        self.reset_parameters()

    def reset_parameters(self):
        with torch.no_grad():
            for start in (0, 5, 10):
                init.xavier_uniform_(self.qkv[start : start + 5])
            top, bottom = self.held[:3], self.held[3:]
            init.normal_(bottom)
            init.uniform_(top)
            top[0] = 2.0
            for number, chunk in enumerate(self.chunks.chunk(3)):
                nn.init.orthogonal_(chunk, gain=number + 1)
            init.normal_(self.turned.t())
            self.turned[2].mul_(3)
            self.scaled.uniform_(-1, 1).erfinv_().mul_(0.5).clamp_(-0.4, 0.4)
            init.normal_(self.masked)
            self.masked.masked_fill_(torch.eye(5).bool(), 0.25)
            self.rates.exponential_()
            init.normal_(self.waves)
            self.steps.random_(100)
            init.trunc_normal_(self.wide, std=0.02)
            self.replaced = nn.Parameter(torch.randn(5, 3) * 3)
            self.outer.data.normal_()
            self.outer.data[1:4, 2] = torch.rand(3)
            self.order.copy_(torch.randperm(7))
            init.normal_(self.normed)
            self.normed.div_(self.normed.norm(dim=0, keepdim=True))
            self.normed.copy_(self.normed.flip(0))
            self.last.copy_(torch.rand(8))


class Special(nn.Module):
    """Parameters from the functions of torch.nn.init that do more than draw."""

    def __init__(self):
        super().__init__()
        self.orthogonal = nn.Parameter(torch.empty(7, 3, 3))
        self.wide = nn.Parameter(torch.empty(5, 9))
        self.dirac = nn.Parameter(torch.empty(6, 5, 3))
        self.groups = nn.Parameter(torch.empty(6, 2, 3, 3))
        self.eye = nn.Parameter(torch.empty(7, 5))
        self.sparse = nn.Parameter(torch.empty(7, 5))
        self.truncated = nn.Parameter(torch.empty(7, 5))
        self.kaiming = nn.Parameter(torch.empty(7, 5))
        self.reset_parameters()

    def reset_parameters(self):
        init.orthogonal_(self.orthogonal, gain=2)
        init.orthogonal_(self.wide)
        init.dirac_(self.dirac)
        init.dirac_(self.groups, 2)
        init.eye_(self.eye)
        init.sparse_(self.sparse, 0.3)
        init.trunc_normal_(self.truncated, std=0.02, a=-0.03, b=0.01)
        init.kaiming_normal_(self.kaiming, nonlinearity="relu")


class Parts(nn.Module):
    """All of the above that PyTorch has no class for."""

    def __init__(self):
        super().__init__()
        self.mixer = Mixer()
        self.rows = Rows()
        self.special = Special()

    def blocks(self):
        return [self.mixer, self.special]


class Feed(nn.Module):
    """Two layers and an embedding, for tensor parallelism."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6, padding_idx=7)
        self.up = nn.Linear(6, 13)
        self.down = nn.Linear(13, 6)
        self.mixer = Mixer()
        self.rows = Rows()
        self.special = Special()

    def blocks(self):
        return [self.up, self.down, self.mixer]


class Even(nn.Module):
    """Layers for tensor parallelism of sizes that the mesh divides."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(16, 8, padding_idx=3)
        self.up = nn.Linear(8, 24)
        self.down = nn.Linear(24, 8)

    def blocks(self):
        return [self.up, self.down]


class Pipeline(nn.Module):
    """A stage has only its own modules, under the names of the whole model."""

    def __init__(self, stage=0, stages=1):
        super().__init__()
        self.embed = nn.Embedding(11, 6, padding_idx=0) if stage == 0 else None
        own = [number for number in range(5) if number * stages // 5 == stage]
        self.layers = nn.ModuleDict(
            {str(number): nn.TransformerEncoderLayer(6, 2, 10) for number in own}
        )
        self.head = nn.Linear(6, 11) if stage == stages - 1 else None

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)


def llama(tied=True, dtype=None):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=31,
        hidden_size=24,
        intermediate_size=42,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=3,
        tie_word_embeddings=tied,
        dtype=dtype,
    )
    model = LlamaForCausalLM(config)
    return model if dtype is None else model.to(dtype)


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=29,
        n_positions=9,
        n_embd=20,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def layers_of(model):
    """Return the parts of a model to which fully_shard is applied separately."""
    if hasattr(model, "blocks"):
        return model.blocks()
    inner = getattr(model, "model", None) or model.transformer
    return list(inner.layers if hasattr(inner, "layers") else inner.h)


MODELS = {
    "encoder": Encoder,
    "layers": Layers,
    "parts": Parts,
    "llama": llama,
    "llama untied bfloat16": lambda: llama(False, torch.bfloat16),
    "gpt2": gpt2,
}


def on_meta(build):
    with torch.device("meta"):
        return build()
