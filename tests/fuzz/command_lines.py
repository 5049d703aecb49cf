"""Fuzz the command lines of `fastinit create`, as far as the array that they mean.

The exit code is 0, or it is 2 and one line on stderr says what is wrong.  Nothing is written.
"""

import io
import re
import sys

import atheris
import common

with atheris.instrument_imports(include=["fastinit"]):
    from fastinit._cli import create
    from fastinit._cli.main import main
    from fastinit._files.job import IN_PARTS, Job

OPTIONS = ["--init", "--shape", "--dtype", "--rows", "--name", "--seed", "--threads", "--resume",
           "--overwrite", "--quiet", "--progress", "--help", "--",
           *(f"--{name.replace('_', '-')}" for name in create.PARAMETERS)]  # fmt: skip
VALUES = [*IN_PARTS, "3x4", "3,4", "0x5", "2:3", ":", "-1:", "1e400", "nan", "-inf", "0,1", "-1",
          "float32", "bfloat16", "int8", "99999999999999999999", "fan_in", "uniform"]  # fmt: skip


def resolve(creation):
    """Take the place of the function that writes the file."""
    Job(creation.target, creation.options)
    return "done"


create.create = resolve


def arguments(raw):
    data = atheris.FuzzedDataProvider(raw)
    found = [data.PickValueInList(["a.npy", "a.safetensors", "a.txt", "", "-x.npy"])]
    while data.remaining_bytes() and len(found) < 30:
        kind = data.ConsumeIntInRange(0, 3)
        if kind == 0:
            text = data.PickValueInList(OPTIONS)
        elif kind == 1:
            text = data.PickValueInList(VALUES)
        elif kind == 2:
            text = data.ConsumeUnicode(12)
        else:
            text = f"{data.PickValueInList(OPTIONS)}={data.ConsumeUnicode(8)}"
        found.append(text.replace("\0", ""))
    return found


def target(raw):
    command = ["create", *arguments(raw)]
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        code = main(command)
    except SystemExit as stop:
        code = stop.code
    finally:
        said = sys.stderr.getvalue()
        sys.stdout, sys.stderr = out, err
    assert code in (0, 2), (command, code)
    if code == 2:
        assert re.fullmatch(r"fastinit( create)?: error: .+\n", said), (command, said)


def seeds():
    yield from (bytes((17 * n + 31 * k) % 256 for k in range(80)) for n in range(20))


if __name__ == "__main__":
    common.run(target, seeds())
