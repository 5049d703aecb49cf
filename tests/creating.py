"""Run `fastinit create` for its tests."""

import os
import re
import threading
from pathlib import Path

import numpy as np

from fastinit._cli.main import main
from fastinit._files import partial as partials

TABLE = ["--init", "truncated_normal", "--shape", "1000x33", "--stddev", "0.1", "--seed", "7"]


def create(*arguments):
    assert main(["create", *map(str, arguments)]) == 0


def refused(capsys, *arguments):
    """Return the message, one line, of a run that must fail."""
    try:
        code = main(["create", *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert re.fullmatch(r"fastinit( create)?: error: .+\n", err), err
    return err


def saved(array):
    np.save("expected.npy", array)
    data = Path("expected.npy").read_bytes()
    os.unlink("expected.npy")
    return data


def files():
    return sorted(os.listdir())


def kept(name):
    """Return the names that a finished run leaves."""
    return sorted([name, f"{name}.json"] if name.endswith(".npy") else [name])


def unpublish(name):
    """Leave what a run leaves that is killed before it renames its complete file."""
    for file in kept(name):
        os.rename(file, f"{file}.partial")


def without_threads(monkeypatch):
    """Let the system give no threads: the main one writes alone, and every run takes its steps."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def stop_after(monkeypatch, n, error):
    """Make a run fail after n chunks."""
    plain, count = partials.Partial.write, iter(range(10**6))

    def write(self, values, offset):
        if next(count) >= n:
            raise error
        plain(self, values, offset)

    monkeypatch.setattr(partials.Partial, "write", write)
