"""Fuzz NAME.partial: files of any bytes, and trailers with a right checksum and any content.

`fastinit create --resume` finishes the file, or refuses it in one line and leaves it as it is.
"""

import io
import json
import os
import re
import resource
import sys
import tempfile
from binascii import crc32
from pathlib import Path

import atheris
import common

with atheris.instrument_imports(include=["fastinit"]):
    import numpy.random  # noqa: F401  # which would be imported at the first run

    from fastinit._cli.main import main

ASKED = {"init": "random_uniform", "shape": [40, 3], "dtype": "float32", "rows": [0, 40],
         "minval": -0.05, "maxval": 0.05, "seed": 7, "stream_version": 1,
         "fastinit_version": "0.1.0"}  # fmt: skip
FIRST, NBYTES = 128, 40 * 3 * 4


def file_of(asked, written, at=FIRST + NBYTES + 0):
    """Return a file with a trailer whose checksum is right."""
    count = written.to_bytes(8, "little")
    rest = asked + at.to_bytes(8, "little") + b"fastinit"
    return bytes(at) + count + crc32(rest, crc32(count)).to_bytes(8, "little") + rest


def content(raw):
    """Return the bytes of the file that the input stands for."""
    kind, raw = raw[:1], raw[1:]
    if kind == b"r":
        return raw
    data = atheris.FuzzedDataProvider(raw)
    written, at = data.ConsumeIntInRange(0, 2 * NBYTES), FIRST + NBYTES
    if kind == b"j":
        return file_of(data.ConsumeBytes(600), written, at)
    asked = dict(ASKED)
    values = [None, True, -1, 0, 40, 2**63, 2**70, 1.5, "x", [], [40, 3], [0, 40], {}, "float64",
              "zeros", [1] * 70, [2**40, 2**40], float("nan"), "\ud800"]  # fmt: skip
    for _ in range(data.ConsumeIntInRange(0, 3)):
        asked[data.PickValueInList([*ASKED, "stddev", "name"])] = data.PickValueInList(values)
    return file_of(json.dumps(asked).encode(), written, at)


def target(raw):
    data = content(raw)
    path, name = Path("a.npy.partial"), Path("a.npy")
    path.write_bytes(data)
    for left in (name, Path("a.npy.json"), Path("a.npy.json.partial")):
        left.unlink(missing_ok=True)
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        code = main(["create", "a.npy", "--resume"])
    finally:
        said = sys.stderr.getvalue()
        sys.stdout, sys.stderr = out, err
    if code == 0:
        assert name.exists()
        assert not path.exists()
    else:
        assert code == 2, said
        assert re.fullmatch(r"fastinit( create)?: error: .+\n", said), said
        assert not name.exists()
        assert not data or path.read_bytes() == data or "nothing of it is left" in said, said


def seeds():
    yield b"r" + file_of(json.dumps(ASKED).encode(), 0)[-300:]
    yield b"j" + json.dumps(ASKED).encode()
    yield from (b"s" + bytes((7 * n + k) % 256 for k in range(40)) for n in range(20))


if __name__ == "__main__":
    # A trailer may ask for a file of any size.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 22, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory(prefix="fastinit-fuzz-") as folder:
        sys.argv[1:] = [os.path.abspath(a) if os.path.exists(a) else a for a in sys.argv[1:]]
        os.chdir(folder)
        common.run(target, seeds())
