"""Fuzz NAME.npy.json and the headers of .safetensors: records of any bytes, and right checksums.

`fastinit verify` compares the file, or refuses it in one line.  It changes no file.
"""

import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import atheris
import common

with atheris.instrument_imports(include=["fastinit"]):
    import numpy.random  # noqa: F401  # which would be imported at the first run

    from fastinit._cli.main import main
    from fastinit._files.record import decoded, encoded

OPTIONS = ["--init", "random_uniform", "--shape", "40x3", "--seed", "7", "--quiet"]
VALUES = [None, True, -1, 0, 40, 2**63, 2**70, 1.5, "x", "inf", "nan", [], [40, 3], [0, 40], {},
          "float64", "bfloat16", "zeros", "os.system", [1] * 70, [2**40, 2**20], float("inf"),
          "\ud800"]  # fmt: skip


def changed(data, asked):
    """Return a record with up to three changes."""
    asked = dict(asked)
    for _ in range(data.ConsumeIntInRange(0, 3)):
        name = data.PickValueInList([*asked, "stddev", "name", "checksum"])
        asked[name] = data.PickValueInList(VALUES)
    return asked


def header_of(raw, values):
    """Return a .safetensors file of that header."""
    return len(raw).to_bytes(8, "little") + raw + values


def write_files(raw):
    """Write the file or the record that the input stands for; return its name."""
    kind, raw = raw[:1], raw[1:]
    npy, record, safetensors = Path("a.npy"), Path("a.npy.json"), Path("a.safetensors")
    npy.write_bytes(NPY)
    data = atheris.FuzzedDataProvider(raw)
    if kind == b"h":
        npy.write_bytes(raw + NPY[128:])
        record.write_bytes(RECORD)
    elif kind == b"r":
        record.write_bytes(raw)
    elif kind == b"t":
        safetensors.write_bytes(header_of(raw, SAFETENSORS[-480:]))
        return safetensors
    elif kind == b"m":
        fields = json.loads(SAFETENSORS[8:-480])
        part = data.PickValueInList(["__metadata__", "weight"])
        fields[part] = changed(data, fields[part])
        safetensors.write_bytes(header_of(json.dumps(fields).encode(), SAFETENSORS[-480:]))
        return safetensors
    else:
        record.write_bytes(encoded(changed(data, decoded(RECORD))))
    return npy


def target(raw):
    path = write_files(raw)
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        code = main(["verify", str(path)])
    finally:
        printed, said = sys.stdout.getvalue(), sys.stderr.getvalue()
        sys.stdout, sys.stderr = out, err
    assert before == {name: Path(name).read_bytes() for name in os.listdir()}
    if code == 2:
        assert printed == ""
        assert re.fullmatch(r"fastinit verify: error: .+\n", said), said
    else:
        assert code in (0, 1), said
        assert re.fullmatch(r"a\.(npy|safetensors): .+\n", printed), printed


def seeds():
    yield b"r" + RECORD
    yield b"h" + NPY[:128]
    yield b"t" + SAFETENSORS[8:-480]
    for kind in (b"m", b"s"):
        yield from (kind + bytes((7 * n + k) % 256 for k in range(40)) for n in range(20))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="fastinit-fuzz-") as folder:
        sys.argv[1:] = [os.path.abspath(a) if os.path.exists(a) else a for a in sys.argv[1:]]
        os.chdir(folder)
        for name in ("a.npy", "a.safetensors"):
            assert main(["create", name, *OPTIONS]) == 0
        NPY, SAFETENSORS, RECORD = (
            Path(name).read_bytes() for name in ("a.npy", "a.safetensors", "a.npy.json")
        )
        common.run(target, seeds())
