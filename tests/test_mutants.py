"""The mutants of tests/mutants: every patch applies, and names a test that exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from conftest import INTEGRATION
from mutants import run

MUTANTS = run.read_mutants()
NODE = re.compile(r"(tests/test_\w+\.py)::(\w+)(\[.+\])?")


def test_every_patch_has_an_entry():
    patches = sorted(path.stem for path in run.HERE.glob("*.patch"))
    assert patches == sorted(mutant.name for mutant in MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_patch_applies(mutant):
    assert re.fullmatch(r"[A-Za-z_].*\.", mutant.bug)
    files = run.patched(run.ROOT, mutant.patch)
    for path, (before, after) in files.items():
        assert before != after
        assert path.startswith(("src/", "include/"))  # a mutant changes no test
        if path.endswith(".py"):
            ast.parse(after)


@cache
def functions_of(path):
    """Return the names of the tests of a file, which need not be imported."""
    tree = ast.parse(Path(run.ROOT, path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_test_exists(mutant):
    """run.py itself notices a case that does not."""
    path, name, _ = NODE.fullmatch(mutant.test).groups()
    assert name in functions_of(path)
    assert mutant.integration == (Path(path).name in INTEGRATION)


def test_the_bugs_that_others_shipped_are_here():
    assert sum(mutant.shipped for mutant in MUTANTS) >= 13
    assert sum(not mutant.shipped for mutant in MUTANTS) >= 13


PATCH = """A bug.
--- a/one.txt
+++ b/one.txt
@@ -1,3 +1,3 @@
 first
-second
+2
 third
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("first\nsecond\nthird\n", "first\n2\nthird\n"),
        ("another\n\nfirst\nsecond\nthird\nlast\n", "another\n\nfirst\n2\nthird\nlast\n"),
        ("first\nsecond\n", None),
        ("first\n2\nthird\n", None),
        ("first\nsecond\nthird\n" * 2, None),
    ],
    ids=["as it was", "moved", "changed", "applied already", "twice"],
)
def test_patches(tmp_path, text, found):
    (tmp_path / "one.txt").write_text(text)
    if found is None:
        with pytest.raises(ValueError, match=r"does not apply: one\.txt"):
            run.patched(tmp_path, PATCH)
    else:
        assert run.patched(tmp_path, PATCH) == {"one.txt": (text, found)}
