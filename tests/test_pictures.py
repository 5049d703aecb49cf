"""The pictures of the documentation: their numbers, and that the committed ones hold them.

Only the last test needs Matplotlib, of the dependency group `docs`.
"""

import importlib.util
import math
import re
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import integrate

from fastinit import initializers

DOCS = Path(__file__).parents[1] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def load():
    """Return docs/pictures/make.py as a module."""
    spec = importlib.util.spec_from_file_location("pictures_make", DOCS / "pictures" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load()
NAMES = sorted(make.PICTURES)


def text_of(name):
    return (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8")


def shown(name):
    return make.held(text_of(name))[1]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"depth"}))
def test_the_committed_picture_holds_the_numbers_of_today(name):
    assert make.differences(shown(name), make.PICTURES[name].numbers()) == []


def test_the_committed_curves_are_those_of_today():
    # All of them take half a minute, and `make.py --check` compares them.
    activations, names = ("relu", "gelu", "selu"), ("He", "LeCun")
    old = shown("depth")
    assert list(old["parts"]) == list(make.ACTIVATIONS)
    for part in old["parts"].values():
        assert list(part["curves"]) == list(make.INITIALIZERS)
        part["curves"] = {name: part["curves"][name] for name in names}
    old["parts"] = {name: old["parts"][name] for name in activations}
    assert make.differences(old, make.depth(activations, names)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_file(name):
    text = text_of(name)
    assert len(text) < 150_000
    assert not re.search(r"20\d\d-\d\d-\d\dT|<dc:date>", text)
    root = ElementTree.fromstring(text)
    assert root.findtext(f"{SVG}title") == make.PICTURES[name].title
    assert not list(root.iter(f"{SVG}text")), "text whose width depends on the reader's fonts"
    links = re.findall(r'href="([^"]*)"', text)
    assert links
    assert all(link.startswith("#") for link in links)
    background = root.find(f".//{SVG}g[@id='patch_1']/{SVG}path")
    assert background.get("style") == "fill: #ffffff"
    _, _, width, height = root.get("viewBox").split()
    edges = [float(x) for x in re.findall(r"[\d.]+", background.get("d"))]
    assert edges[:4] == pytest.approx([0, float(height), float(width), float(height)], abs=0.01)


FILLS = [(title, fill) for title, fills in make.fills().items() for fill in fills]


@pytest.mark.parametrize(("title", "fill"), FILLS, ids=lambda x: getattr(x, "label", x))
def test_histograms_follow_the_density_within_the_bounds(title, fill):
    found = make.histogram(title, fill)
    n = math.prod(make.SHAPE)
    edges = np.linspace(*found["ends"], make.BINS + 1)
    expected = n * np.diff(fill.exact.cdf(edges))
    counts = n * np.array(found["histogram"]) * np.diff(edges)
    # Rounding the ends moves each bin by 1 in 2000 of its distance from 0 at most.
    rounding = 1e-3 * expected + 1e-3 * expected.max()
    assert (abs(counts - expected) <= 5 * np.sqrt(expected) + rounding + 3).all()
    values = make.seeded(fill.initializer, title, fill.label)(make.SHAPE)
    assert found["least"] == make.rounded(values.min())
    assert found["stddev"] == pytest.approx(fill.exact.std(), rel=5e-3)
    for bound, extreme in ((fill.low, values.min()), (fill.high, values.max())):
        if math.isfinite(bound):
            # No value is beyond the bound in float32, and the fill comes close to it.
            assert 0.998 * abs(bound) < abs(extreme) <= abs(np.float32(bound)) * (1 + 1e-6)
    assert [b is None for b in found["bounds"]] == [math.isinf(b) for b in (fill.low, fill.high)]


def curves(activation, initializer):
    found = shown("depth")["parts"][activation]["curves"][initializer]
    return np.array(found["forward"]), np.array(found["backward"])


def test_depth_shows_what_the_page_says():
    for way in curves("relu", "He"):
        assert ((way > 0.5) & (way < 1.5)).all()
    for initializer in ("Glorot", "LeCun", "orthogonal"):
        for way, end in zip(curves("relu", initializer), (-1, 0), strict=True):
            assert 2**-27 < way[end] < 2**-24.5  # half in every two layers: 2**-25
        assert curves("relu", initializer)[0][44 // make.STEP] < 1e-6
    table = {name: part["table"] for name, part in shown("depth")["parts"].items()}
    for activation in ("relu", "leaky_relu", "elu", "selu", "linear"):
        forward, _ = curves(activation, table[activation])
        assert ((forward > 0.1) & (forward < 10)).all()
    forward, _ = curves("tanh", table["tanh"])
    assert forward[-1] == pytest.approx(0.09, abs=0.005)
    assert (np.diff(forward[::5]) < 0).all()
    forward, backward = curves("gelu", table["gelu"])
    assert forward[-1] < 1e-5
    assert backward[0] < 1e-4
    for initializer in make.INITIALIZERS:
        assert curves("sigmoid", initializer)[1][0] < 1e-20
    for activation in make.ACTIVATIONS:
        forward, backward = curves(activation, "stddev 0.01")
        assert backward[0] < 1e-20
        assert forward[-1] < 1e-20 or activation == "sigmoid"
    assert curves("linear", "orthogonal")[0] == pytest.approx(1, abs=1e-3)


def test_square_layers_of_one_variance_have_one_line():
    for activation in make.ACTIVATIONS:
        glorot = curves(activation, "Glorot")
        for other in ("LeCun", "orthogonal"):
            for a, b in zip(glorot, curves(activation, other), strict=True):
                # The logarithm moves by less than 1 in 50 layers, for a factor of 10 is 2.3.
                assert abs(np.log(a / b)).max() < 0.6


def test_gelu_decays_and_relu_does_not():
    found = {"relu": [], "gelu": []}
    for seed in range(8):
        ways = make.through(list(found), make.matrices("He", 256, 20, seed), seed=seed)
        for name in found:
            found[name].append(ways[name]["forward"][-1])
    mean = {name: float(np.exp(np.log(ends).mean())) for name, ends in found.items()}
    text = " ".join((DOCS / "pictures.md").read_text(encoding="utf-8").split())
    low, high = (f"{x:.2f}" for x in (min(found["gelu"]), max(found["gelu"])))
    assert f"is {mean['gelu']:.2f} on average" in text
    assert f"range from {low} to {high}), where `relu` has {mean['relu']:.2f}" in text
    assert mean["gelu"] < 0.2 < 0.5 < min(found["relu"])


@pytest.mark.parametrize("name", sorted(make.ACTIVATIONS))
def test_derivatives(name):
    function, slope = make.ACTIVATIONS[name]
    x = np.linspace(-3, 3, 60)  # without 0
    step = 1e-6
    assert slope(x) == pytest.approx((function(x + step) - function(x - step)) / (2 * step), 1e-6)


def test_gradients_are_those_of_the_layers():
    """The gradient of sum(g * output) agrees with its differences, for one matrix of each."""
    weights = make.matrices("He", 8, 3, seed=5)
    (ways,) = make.through(["tanh"], weights, batch=2, seed=5).values()
    key = {name: make.fastinit.derive_seed(5, name) for name in ("x", "gradient")}
    x, g = (
        make.fastinit.random_normal((2, 8), stddev=1.0, seed=key[name]).astype(np.float64)
        for name in ("x", "gradient")
    )

    def output(values):
        for weight in weights:
            values = np.tanh(values @ weight.astype(np.float64))
        return (g * values).sum()

    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-5
        gradient[index] = (output(x + step) - output(x - step)) / 2e-5
    assert ways["backward"][0] == pytest.approx(gradient.std(), rel=1e-6)
    assert len(ways["forward"]) == len(ways["backward"]) == 4


def test_the_table_of_the_page():
    text = (DOCS / "pictures.md").read_text(encoding="utf-8")
    table = text.partition("| initialization |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == ["Glorot", "He", "LeCun"]
    named = {fill.label: fill.exact.var() for fill in make.fills()["_normal"]}
    fan_in, fan_out = make.SHAPE
    fans = {"fan_in": fan_in, "fan_avg": (fan_in + fan_out) / 2}
    for family, activations, variance in rows:
        for name in activations.removesuffix(" and its variants").split(", "):
            assert make.table_family(name) == family
        over, fan = variance.split(" / ")
        assert float(over) / fans[fan] == pytest.approx(named[family])
    assert named["He"] == pytest.approx(2 * named["LeCun"])
    assert named["LeCun"] == pytest.approx(2 * named["Glorot"])
    for fill in make.fills()["_uniform"]:
        assert fill.exact.var() == pytest.approx(named[fill.label])
    for name in ("leaky_relu", "elu", "gelu"):
        assert type(initializers.for_activation(name)) is initializers.HeNormal


def test_eigenvalues_repel():
    numbers = shown("eigenvalues")
    for name, part in numbers["parts"].items():
        assert len(part["angles"]) == numbers["size"] // 2
        edges = np.linspace(0, make.GAP_END, make.GAP_BINS + 1)
        masses = [integrate.quad(make.GAPS[name], 0, edge)[0] for edge in edges[1:]]
        found = np.cumsum(part["counts"]) / part["gaps"]
        assert abs(found - masses).max() < 0.03
    close = {name: part["below a tenth"] for name, part in numbers["parts"].items()}
    assert close["eigenvalues"] < 0.01
    assert close["independent points"] == pytest.approx(1 - math.exp(-0.1), abs=0.02)
    matrix = make.fastinit.orthogonal((make.EIGEN_SIZE, make.EIGEN_SIZE), seed=1)
    values = np.linalg.eigvals(matrix.astype(np.float64))
    assert abs(abs(values) - 1).max() < 1e-5
    angles = make.upper_angles(matrix)
    assert len(angles) in (make.EIGEN_SIZE // 2 - 1, make.EIGEN_SIZE // 2)
    assert (np.diff(angles) > 0).all()


class OneBit:
    """A lazy array of which one element has another last bit."""

    def __init__(self, lazy, where):
        self.whole = np.asarray(lazy)
        self.whole.view(np.uint32)[where] ^= 1

    def __getitem__(self, index):
        return self.whole[index].copy()


def test_shards_equal_the_whole_and_one_other_bit_is_found():
    numbers = shown("shards")
    whole = np.array(numbers["whole"])
    for name, parts in numbers["cuts"].items():
        covered = np.zeros(whole.shape, int)
        for part, cut in zip(parts, make.CUTS[name], strict=True):
            assert part["equal"] is True
            assert part["corner"] == [cut[0].start, cut[1].start]
            assert (np.array(part["values"]) == whole[cut]).all()
            covered[cut] += 1
        assert (covered == 1).all()
    seed = make.fastinit.derive_seed(make.SEED, "table")
    lazy = initializers.TruncatedNormal(stddev=make.STDDEV, seed=seed).lazy(make.TABLE)
    numbers = make.shards(OneBit(lazy, (4, 10)))
    equal = {name: [part["equal"] for part in parts] for name, parts in numbers["cuts"].items()}
    assert equal == {
        "by rows": [True, False, True, True],
        "by columns": [True, True, True, False],
        "by blocks": [True, False, True, True],
    }


RESULTS = """# Benchmark

Written by `command` on 2026-02-03.

Machine: A processor (family 1), 2 processors, Linux, Python 3.11.7, cc 12.

Versions: numpy 2.4.6; mkl 2026.2.0 (code branch 2: compatible); torch 2.

### float64, into an array that exists

|  | uniform |
| --- | ---: |
| numpy, 1 | 9 |

### float32, into an array that exists (where a library cannot, a new one)

|  | uniform | normal |
| --- | ---: | ---: |
| *memset* | 0.1 | 0.1 |
| fastinit avx2, 1 | 0.5 | 0.75 |
| fastinit avx2, 2 | 0.3 | |
| numpy, 1 | 1.82 (4.34) | 8.97 (12.1) |

### float32, a new array

|  | uniform |
| --- | ---: |
| numpy, 1 | 7 |
"""


def test_results_are_parsed():
    assert make.benchmarks(RESULTS) == {
        "date": "2026-02-03",
        "machine": "A processor (family 1), 2 processors, Linux, Python 3.11.7, cc 12",
        "mkl": "compatible",
        "parts": {
            "uniform": {
                "memset": {"1": 0.1},
                "fastinit avx2": {"1": 0.5, "2": 0.3},
                "numpy": {"1": 1.82},
            },
            "normal": {
                "memset": {"1": 0.1},
                "fastinit avx2": {"1": 0.75},
                "numpy": {"1": 8.97},
            },
        },
    }
    assert make.benchmarks(RESULTS.replace("(code branch 2: compatible)", ""))["mkl"] is None
    for gone in ("### float32, into", " on 2026-02-03", "Machine"):
        with pytest.raises(ValueError, match="the results have no"):
            make.benchmarks(RESULTS.replace(gone, ""))


def test_what_the_page_says_of_the_benchmarks():
    parts = shown("benchmarks")["parts"]
    assert list(parts) == ["uniform", "normal", "truncated"]
    for part in parts.values():
        least = {name: min(row.values()) for name, row in part.items() if name != "memset"}
        ours = {name for name in least if name.startswith("fastinit a")}
        assert ours
        fastest = sorted(least, key=least.get)[: len(ours)]
        assert set(fastest) == ours
        assert {"numpy", "torch", "jax", "tensorflow", "keras", "mkl"} <= set(part)


def test_shortening_keeps_every_command():
    svg = (
        '<path id="a" d="M 1.23456 -2 \nQ 7 8 -3.98765 4 \nL 5 6.789 \nz\n" style="a: 1.2345"/>\n'
        '  <use x="0.125" y="-99.996" transform="translate(3.14159 2) scale(0.01234 -0.01234)"/>\n'
    )
    assert make.shortened(svg) == (
        '<path id="a" d="M 1.23 -2\nQ 7 8 -3.99 4\nL 5 6.79\nz\n" style="a: 1.2345"/>\n'
        '<use x="0.12" y="-100.00" transform="translate(3.14 2) scale(0.01234 -0.01234)"/>\n'
    )


def test_differences():
    old = {"a": [1.0, 0.0, None], "b": {"c": "x", "d": True}}
    assert make.differences(old, {"a": [1.001, 0.0, None], "b": {"c": "x", "d": True}}) == []
    for new, where in (
        ({**old, "a": [1.01, 0.0, None]}, "/a/0"),
        ({**old, "a": [1.0, 1e-9, None]}, "/a/1"),
        ({**old, "a": [1.0, 0.0]}, "/a"),
        ({**old, "b": {"c": "y", "d": True}}, "/b/c"),
        ({**old, "b": {"c": "x", "d": 1}}, "/b/d"),
        ({**old, "b": {"c": "x"}}, "/b"),
        ({"b": old["b"], "a": old["a"]}, ""),
    ):
        (found,) = make.differences(old, new)
        assert found.startswith(f"{where}: ")


def test_a_check_finds_another_number(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make, "HERE", tmp_path)
    monkeypatch.setattr("sys.argv", ["make.py", "--check", "shards"])
    text = text_of("shards")
    path = tmp_path / "shards.svg"
    path.write_text(text, encoding="utf-8")
    assert make.main() == 0
    assert capsys.readouterr().out.startswith("shards.svg: same")
    path.write_text(text.replace('"equal":true', '"equal":false', 1), encoding="utf-8")
    assert make.main() == 1
    printed = capsys.readouterr().out
    assert printed.startswith("shards.svg: other")
    assert "/cuts/by rows/0/equal: the picture has False, now it is True" in printed
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.setattr("sys.argv", ["make.py", "shard"])
    with pytest.raises(SystemExit):
        make.main()
    assert "there is no picture shard" in capsys.readouterr().err


def test_the_page_shows_each_picture_and_says_what_it_shows():
    text = (DOCS / "pictures.md").read_text(encoding="utf-8")
    found = re.findall(r"!\[(.*?)\]\(pictures/(\w+)\.svg\)", text)
    assert [name for _, name in found] == list(make.PICTURES)
    assert {path.stem for path in (DOCS / "pictures").glob("*.svg")} == set(make.PICTURES)
    for described, name in found:
        assert len(described) > 100
        assert f"\n`python docs/pictures/make.py {name}`\n" in text


@pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="Matplotlib, of the group docs, is not installed"
)
@pytest.mark.filterwarnings("default")  # what other libraries warn of is theirs
@pytest.mark.parametrize("name", NAMES)
def test_matplotlib_draws_the_committed_picture(name):
    text = text_of(name)
    same = make.same_drawing(text, name)
    if same is None:  # with another version of Matplotlib the bytes may differ
        drawn = make.drawn(name, shown(name))
        assert make.held(drawn)[1] == shown(name)
    else:
        assert same
