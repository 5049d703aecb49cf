"""The README and the pages of docs/: every block of code runs, and every link leads somewhere.

The blocks of a page run in its order, in one folder.  Blocks of Python share their names; those
with >>> are doctests.  Blocks of sh are commands, with this environment's programs on the PATH.  A
block of text is the output of the block before it, where ... stands for any text.  Comments on the
lines directly above a block change that:

    <!-- not run: why -->       the block is not run
    <!-- needs: keras, jax -->  the block runs under -m integration only

A comment from a line `<!-- site` to a line `-->` is for the documentation site alone: see
docs/conf.py.
"""

import contextlib
import doctest
import inspect
import io
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

import fastinit
from fastinit.initializers._catalog import CATALOG

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("**/*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS, *sorted((ROOT / "bench").glob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)$")
OUTPUT = doctest.OutputChecker()


@dataclass
class Block:
    page: Path
    line: int  # of its first line of text, from 1
    language: str
    text: str
    reason: str | None = None
    needs: tuple[str, ...] = ()
    output: str | None = None

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def text_of(page):
    """Return the text of a page, with empty lines for what is for the documentation site alone."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"(?ms)^<!-- site$.*?^-->$", lambda site: "\n" * site[0].count("\n"), text)


def blocks_of(page):
    """Return the fenced blocks of a page, with what the comments above them say."""
    lines = text_of(page).splitlines()
    found, comments, number = [], [], 0
    while number < len(lines):
        opened = FENCE.match(lines[number])
        if not opened:
            comment = re.fullmatch(r" *<!-- (.*) -->", lines[number])
            comments = [*comments, comment[1]] if comment else []
            number += 1
            continue
        indent, language = opened.groups()
        first = number = number + 1
        while lines[number].rstrip() != f"{indent}```":
            number += 1
        text = "".join(f"{line.removeprefix(indent)}\n" for line in lines[first:number])
        if language == "text":
            found[-1].output = text
        else:
            block = Block(page, first + 1, language, text)
            for comment in comments:
                name, _, value = comment.partition(": ")
                if name == "not run":
                    block.reason = value
                elif name == "needs":
                    block.needs = tuple(value.split(", "))
            found.append(block)
        comments = []
        number += 1
    return found


BLOCKS = {page: blocks_of(page) for page in PAGES}


def run_python(block, names):
    if ">>>" in block.text:
        test = doctest.DocTestParser().get_doctest(
            block.text, {}, str(block), str(block.page), block.line - 1
        )
        test.globs = names
        report = []
        failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
            test, out=report.append, clear_globs=False
        )
        assert not failed, "".join(report)
        return ""
    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    return printed.getvalue()


def run_sh(block, names):
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", block.text],
        env={**os.environ, "PATH": programs},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    return done.stdout


RUN = {"python": run_python, "sh": run_sh}


def run(block, names):
    printed = RUN[block.language](block, names)
    if block.output is not None:
        same = OUTPUT.check_output(block.output, printed, doctest.ELLIPSIS)
        assert same, f"{block} says\n{block.output}\nbut it printed\n{printed}"


def pytest_generate_tests(metafunc):
    if "blocks" not in metafunc.fixturenames:
        return
    pages = []
    for page, blocks in BLOCKS.items():
        name = str(page.relative_to(ROOT))
        blocks = [block for block in blocks if block.reason is None]
        alone = [block for block in blocks if not block.needs]
        if alone:
            pages.append(pytest.param(alone, id=name))
        # As in conftest.py, tests of other libraries are collected only where they are asked for.
        if alone != blocks and metafunc.config.option.markexpr == "integration":
            # What other libraries warn of is theirs.
            marks = [pytest.mark.integration, pytest.mark.filterwarnings("default")]
            pages.append(pytest.param(blocks, id=f"{name}, with other libraries", marks=marks))
    metafunc.parametrize("blocks", pages)


@pytest.fixture
def state(monkeypatch, tmp_path):
    """Provide a folder, an environment and a number of threads that a page may change."""
    monkeypatch.chdir(tmp_path)
    threads = fastinit.get_num_threads()
    with mock.patch.dict(os.environ):
        yield
    fastinit.set_num_threads(threads)


@pytest.mark.skipif(os.name != "posix", reason="the pages have commands for a POSIX shell")
@pytest.mark.usefixtures("state")
def test_blocks_run(blocks):
    names = {"__name__": "__main__"}
    for block in blocks:
        run(block, names)


def test_every_block_runs_or_says_why_not():
    blocks = [block for found in BLOCKS.values() for block in found]
    wrong = [str(b) for b in blocks if b.reason is None and b.language not in RUN]
    assert not wrong, "of no language that runs, and without a reason"
    assert all(b.reason for b in blocks if b.reason is not None)
    running = Counter(b.language for b in blocks if b.reason is None and not b.needs)
    assert all(running[language] for language in RUN)


WRONG = """
<!-- needs: a, b -->
```python
>>> 1 + 1
3
```

```python
print(1 + 1)
```

```text
3
```

<!-- not run: it fails -->
<!-- another comment -->
```sh
false
```
"""


def test_what_is_wrong_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(WRONG, encoding="utf-8")
    found = blocks_of(page)
    assert [block.line for block in found] == [4, 9, 19]
    assert [block.needs for block in found] == [("a", "b"), (), ()]
    assert [block.output for block in found] == [None, "3\n", None]
    assert [block.reason for block in found] == [None, None, "it fails"]
    expected = (r"Expected:\s+3\s+Got:\s+2", r"says\s+3\s+but it printed\s+2", "page")
    with mock.patch.object(Block, "__str__", return_value="page"):
        for block, message in zip(found, expected, strict=True):
            with pytest.raises(AssertionError, match=message):
                run(block, {})


@pytest.mark.parametrize("marker", ["install", "test"])
def test_continuous_integration_finds_the_commands(marker):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count(f"<!-- {marker} -->\n```sh\npython3 -m venv .venv && ") == 1


def prose(page):
    """Return a page without its code."""
    return re.sub(r"`[^`\n]*`", "``", re.sub(r"(?ms)^ *```.*?^ *```$", "", text_of(page)))


def anchors(page):
    """Return the anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", text_of(page))
    found = Counter()
    for heading in re.findall(r"(?m)^#+ +(.*)$", text):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        found[re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")] += 1
    return {name if not n else f"{name}-{n}" for name, count in found.items() for n in range(count)}


def links(page):
    """Return (target, anchor) of each link of a page into this repository."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not link.startswith(("https://", "http://")):
            target, _, anchor = link.partition("#")
            yield (page.parent / target).resolve() if target else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    for target, anchor in links(page):
        assert target.is_relative_to(ROOT)
        assert target.exists(), target
        if anchor:
            assert anchor in anchors(target), f"{target} has no heading #{anchor}"


def test_the_index_links_to_every_page():
    index = ROOT / "docs" / "index.md"
    linked = {target for target, _ in links(index)}
    assert not set(DOCS) - linked - {index}
    assert index in {target for target, _ in links(ROOT / "README.md")}


def times_faster(results, heading, library):
    """Return how many times faster than a library fastinit is, of each column below a heading."""
    table = results.partition(f"### {heading}\n")[2].partition("\n#")[0]
    row = re.search(rf"(?m)^\| {library}, 1 \|(.*)\|$", table)
    return [re.search(r"\((.*)\)", cell)[1] for cell in row[1].split("|")] if row else [""]


def test_the_figures_of_the_index_are_those_of_the_benchmark():
    results = (ROOT / "bench" / "results.md").read_text(encoding="utf-8")
    names = {"NumPy": "numpy", "PyTorch": "torch", "JAX": "jax"}
    rows = [
        "| library | uniform | normal | truncated | orthogonal |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in (*names, "TensorFlow", "Keras"):
        library = names.get(name, name.lower())
        filled = times_faster(
            results,
            "float32, into an array that exists (where a library cannot, a new one)",
            library,
        )
        cells = [name, *filled, *times_faster(results, "(2048, 2048)", library)]
        rows.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    table = text.partition("<!-- speed -->\n")[2].partition("<!-- end of speed -->")[0]
    assert table.splitlines() == rows


def test_the_table_of_initializers_is_the_catalog():
    rows = ["| function, class | values | fan | paper |", "|---|---|---|---|"]
    for entry in CATALOG:
        cells = (
            f"`{entry.name}`, `{entry.cls.__name__}`",
            f"`{entry.formula}`",
            entry.fan,
            entry.paper,
        )
        rows.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    text = (ROOT / "docs" / "initializers.md").read_text(encoding="utf-8")
    assert "\n".join([*rows, ""]) in text


def test_the_figures_of_the_page_on_trust_stand_in_its_reports():
    text = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
    table = text.partition("<!-- figures -->")[2].partition("<!-- end of figures -->")[0]
    rows = [line.split("|")[1:-1] for line in table.strip().splitlines()[2:]]
    assert len(rows) >= 5
    for _, figures, source, command in rows:
        report = ROOT / "docs" / re.search(r"\]\((.+?)\)", source)[1]
        said = report.read_text(encoding="utf-8")
        for figure in re.findall(r"`(.+?)`", figures):
            assert figure in said, f"{figure} is not in {report}"
        assert re.findall(r"`(.+?)`", figures)
        assert re.search(r"python (\S+)", command)[1] in said


def test_the_table_of_layouts_names_every_function_of_fans():
    text = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (.*) \| .* \| .* \|$", text.partition("## Layouts")[2])
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    for entry in CATALOG:
        if "input_axes" in inspect.signature(entry.function).parameters:
            assert entry.name in named
    assert {"orthogonal", "delta_orthogonal"} <= named
