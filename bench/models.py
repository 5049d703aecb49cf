"""Time the construction of PyTorch models, and write bench/models.md.

    python bench/models.py             all models, in 3 minutes on two cores
    python bench/models.py --only gpt2 print the rows of one model

Each model is built from its own class with random weights in three ways: by PyTorch alone, under
accelerate(), and on meta followed by initialize().  The three take turns in one process, and the
least time of each counts, because other load on the machine only adds to a time.  The report also
has the time of writing as much memory once, on huge pages, with as many threads.
"""

import argparse
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from report import machine, table

COMMAND = ".venv/bin/pip install '.[torch]' 'transformers>=5' && .venv/bin/python bench/models.py"
REPORT = Path(__file__).with_suffix(".md")
THREADS = 2
ROUNDS = 5
SMALL = 1000


def encoder():
    """Return TransformerEncoderLayers with 403 million parameters."""
    from torch import nn

    return nn.Sequential(*[nn.TransformerEncoderLayer(1024, 16, 4096) for _ in range(32)])


def copied_encoder():
    """Return a TransformerEncoder of as many parameters, which makes deep copies of one layer."""
    from torch import nn

    layer = nn.TransformerEncoderLayer(1024, 16, 4096, batch_first=True)
    return nn.TransformerEncoder(layer, 32)


def gpt2(dtype):
    """Return a GPT-2 of 124 million parameters."""
    import transformers

    return transformers.GPT2LMHeadModel._from_config(transformers.GPT2Config(), dtype=dtype)


def llama(dtype):
    """Return a Llama of 177 million parameters."""
    import transformers

    config = transformers.LlamaConfig(
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        vocab_size=60000,
    )
    return transformers.LlamaForCausalLM._from_config(config, dtype=dtype)


def vit():
    """Return a ViT-L whose weights are all trunc_normal_(std=.02)."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(1024), nn.LayerNorm(1024)
            self.qkv, self.proj = nn.Linear(1024, 3072), nn.Linear(1024, 1024)
            self.fc1, self.fc2 = nn.Linear(1024, 4096), nn.Linear(4096, 1024)

    class ViT(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 1024, 16, 16)
            self.blocks = nn.Sequential(*[Block() for _ in range(24)])
            self.head = nn.Linear(1024, 1000)
            self.init_weights()

        def init_weights(self):
            for module in self.modules():
                if isinstance(module, (nn.Linear, nn.Conv2d)):
                    nn.init.trunc_normal_(module.weight, std=0.02)
                    nn.init.zeros_(module.bias)

    return ViT()


def models():
    """Return, by name, the limit and the aim for our time over PyTorch's, and what is timed."""
    import torch

    big = torch.zeros(8192, 8192)
    small = [torch.zeros(64) for _ in range(SMALL)]

    def truncated():
        torch.nn.init.trunc_normal_(big, std=0.02, a=-0.04, b=0.04)

    def by_init():
        for tensor in small:
            torch.nn.init.normal_(tensor)

    def by_method():
        for tensor in small:
            tensor.normal_()

    return {
        "encoder": (0.4, 0.2, encoder),
        "encoder of copies": (0.4, 0.2, copied_encoder),
        "gpt2 float32": (0.4, 0.2, lambda: gpt2(torch.float32)),
        "gpt2 bfloat16": (0.4, 0.2, lambda: gpt2(torch.bfloat16)),
        "llama float32": (0.4, 0.2, lambda: llama(torch.float32)),
        "llama bfloat16": (0.4, 0.2, lambda: llama(torch.bfloat16)),
        "vit": (0.15, 0.05, vit),
        "trunc_normal_ (8192, 8192)": (1 / 40, 1 / 80, truncated),
        "1000 of nn.init.normal_ (64,)": (2.0, 1.0, by_init),
        "1000 of Tensor.normal_ (64,)": (2.0, 1.0, by_method),
    }


def time_model(name):
    """Print the least wall and processor times, in ms, of the ways to build one model."""
    import torch

    import fastinit
    import fastinit.torch

    torch.set_num_threads(THREADS)
    fastinit.set_num_threads(THREADS)
    _, _, build = models()[name]

    def ours():
        with fastinit.torch.accelerate(seed=0):
            return build()

    def by_names():
        with torch.device("meta"):
            model = build()
        return fastinit.torch.initialize(model, seed=0)

    built = build()
    is_model = isinstance(built, torch.nn.Module)
    nbytes = sum(p.nbytes for p in built.parameters()) if is_model else 0
    del built

    def touch():
        return fastinit.ones((nbytes // 4,), "float32")

    ways = [build, ours, *([by_names, touch] if is_model else [])]
    rounds = ROUNDS if is_model else 4 * ROUNDS
    least = [[float("inf")] * 2 for _ in ways]
    for _ in range(rounds):
        for way, times in zip(ways, least, strict=True):
            start, processor = time.perf_counter(), time.process_time()
            result = way()
            times[0] = min(times[0], time.perf_counter() - start)
            times[1] = min(times[1], time.process_time() - processor)
            del result
    print(*(1e3 * value for times in least for value in times))


def row(name, times):
    """Return a row of the report."""
    must, aim, _ = models()[name]
    walls, processors = times[::2], times[1::2]
    ratio, cpu = walls[1] / walls[0], processors[1] / processors[0]
    holds = "aim" if max(ratio, cpu) <= aim else "yes" if max(ratio, cpu) <= must else "**no**"
    cells = [f"{w:.4g} ({p:.4g})" for w, p in zip(walls, processors, strict=True)]
    cells += [""] * (4 - len(cells))
    return [name, *cells, f"{ratio:.3g} ({cpu:.3g})", f"{must:.3g}", f"{aim:.3g}", holds]


HEAD = [
    *("model", "PyTorch", "accelerate", "meta and initialize", "memory once"),
    *("accelerate / PyTorch", "must", "aim", "holds"),
]

TEXT = """# Construction of PyTorch models

Written by `{command}` on {day}.

Machine: {machine}.
Versions: {versions}.

Milliseconds of wall time, and of processor time in parentheses: the least of {rounds} turns with
{threads} threads. "Memory once" is the time of writing ones to as many bytes of fresh memory on
huge pages. A row holds if both of its ratios do.

{table}
"""


def main():
    """Time the models, each in a process of its own, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="a part of the names of the models to time and print")
    parser.add_argument("--time", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        time_model(options.time)
        return
    rows = []
    for name in models():
        if options.only and options.only not in name:
            continue
        command = [sys.executable, __file__, "--time", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(row(name, [float(word) for word in done.stdout.split()]))
        print(*rows[-1], sep=" | ", flush=True)
    if options.only:
        return
    names = ("fastinit-kernels", "numpy", "torch", "transformers")
    text = TEXT.format(
        command=COMMAND,
        day=datetime.now(UTC).date(),
        machine=machine(),
        versions="; ".join(f"{name} {version(name)}" for name in names),
        rounds=ROUNDS,
        threads=THREADS,
        table=table(HEAD, rows),
    )
    REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
