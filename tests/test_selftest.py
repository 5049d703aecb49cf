import re
from pathlib import Path

import pytest

import fastinit
from fastinit import _kernels, _selftest
from fastinit._cli.main import main

GOLDEN = Path(__file__).with_name("golden")


def test_all_is_well(capsys):
    before = _kernels.isa()
    names = fastinit.selftest()
    assert _kernels.isa() == before
    for isa in _kernels.isas():
        assert f"{isa}: known digests, truncated" in names
    for isa in _kernels.isas()[1:]:
        assert f"{isa}: equals portable, orthogonal" in names
    assert capsys.readouterr() == ("", "")


def test_the_digests_are_those_of_the_golden_files():
    golden = (GOLDEN / "fills.txt").read_text(encoding="utf-8")
    known = dict(re.findall(r"^(.*?)(?: start=0)? n=\d+: (\w+)$", golden, re.MULTILINE))
    lines = _selftest.DIGESTS.strip().splitlines()
    assert len(lines) == 30
    # Where they differ, the right lines are those that this prints.
    labels = [line.split(": ")[0] for line in lines]
    assert lines == [f"{label}: {known[label]}" for label in labels]
    assert f"{_selftest.SEED:#x}" in golden.splitlines()[0]
    assert f" n={_selftest.LENGTH}:" in golden


def test_the_command(capsys):
    assert main(["selftest"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == 8 * len(_kernels.isas()) + 6 * (len(_kernels.isas()) - 1)
    assert all(line.startswith("ok ") for line in lines)
    assert last == "all values are right"


def flipped(fill, wrong_isas, sizes=None):
    """Make a fill whose last bit is wrong with some kernels, and for some sizes alone."""

    def wrong(out, start, *parameters):
        fill(out, start, *parameters)
        if sizes and out.size not in sizes:
            return
        if _kernels.isa() in wrong_isas:
            out.view(f"uint{8 * out.itemsize}")[-1] ^= 1

    return wrong


@pytest.mark.exhaustive
def test_one_wrong_bit(monkeypatch, capsys):
    """The message names one distribution of one ISA."""
    before, last = _kernels.isa(), _kernels.isas()[-1]
    monkeypatch.setattr(_kernels, "normal", flipped(_kernels.normal, [last]))
    with pytest.raises(RuntimeError, match=f"wrong values on this machine: {last}: known digests"):
        fastinit.selftest()
    assert _kernels.isa() == before
    assert main(["selftest"]) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG")]
    assert wrong
    assert all("normal" in line and last in line for line in wrong)


@pytest.mark.exhaustive
@pytest.mark.skipif(len(_kernels.isas()) == 1, reason="there is nothing to compare with portable")
@pytest.mark.parametrize("size", [200_003, 6 * 601])
def test_a_wrong_bit_where_no_digest_is_known(monkeypatch, size):
    others = _kernels.isas()[1:]
    monkeypatch.setattr(_kernels, "normal", flipped(_kernels.normal, others, {size}))
    with pytest.raises(RuntimeError) as wrong:
        fastinit.selftest()
    assert str(wrong.value).startswith("wrong values on this machine: ")
    found = str(wrong.value).partition(": ")[2].split("; ")
    assert found == [f"{isa}: equals portable, normal" for isa in others]
