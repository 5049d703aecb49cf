"""The structure of the package: what imports what, and where a reader finds each name."""

import ast
import inspect
import os
import re
import subprocess
import sys
import traceback
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fastinit
from fastinit import initializers
from fastinit.initializers._catalog import CATALOG

PACKAGE = Path(fastinit.__file__).parent


def module_name(path):
    parts = ["fastinit", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(p): p for p in PACKAGE.rglob("*.py*") if p.suffix in (".py", ".pyi")}


def imports(name):
    """Yield (module, imported name or None) of every import of this package in a module."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "fastinit":
                    yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package.rsplit(".", node.level - 1)[0]
                source = f"{base}.{node.module}" if node.module else base
            else:
                source = node.module
            if source.partition(".")[0] != "fastinit":
                continue
            for alias in node.names:
                child = f"{source}.{alias.name}"
                yield (child, None) if child in MODULES else (source, alias.name)


def test_all_modules_are_read():
    assert {"fastinit", "fastinit._seeds", "fastinit.initializers._base"} <= MODULES.keys()
    assert ("fastinit._seeds", "key") in set(imports("fastinit._distributions"))
    assert ("fastinit._kernels", None) in set(imports("fastinit.initializers._orthogonal"))


def test_every_module_of_the_sources_is_installed():
    sources = Path(__file__).parents[1] / "src" / "fastinit"
    found = {str(path.relative_to(sources)) for path in sources.rglob("*.py*")}
    found = {name for name in found if name.endswith((".py", ".pyi"))}
    assert found == {str(path.relative_to(PACKAGE)) for path in MODULES.values()}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_imports_a_private_name_of_another(name):
    for source, imported in imports(name):
        assert imported is None or not imported.startswith("_"), f"{imported} of {source}"


def test_imports_have_no_cycle_and_no_module_imports_its_own_package():
    arrows = {name: {source for source, _ in imports(name)} for name in MODULES}
    # static_order() raises CycleError where imports form a cycle.
    assert list(TopologicalSorter(arrows).static_order())
    packages = {name for name, path in MODULES.items() if path.stem == "__init__"}
    for name in MODULES.keys() - {"fastinit"}:
        assert "fastinit" not in arrows[name]
        own = {package for package in packages if name.startswith(f"{package}.")}
        assert not own & arrows[name], f"{name} imports the __init__ of its own package"


PUBLIC = [
    *(getattr(fastinit, name) for name in fastinit.__all__),
    *(getattr(initializers, name) for name in initializers.__all__),
]
PUBLIC = [thing for thing in PUBLIC if inspect.isclass(thing) or inspect.isfunction(thing)]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__qualname__)
def test_the_source_of_every_public_name_is_found(thing):
    source = inspect.getsource(thing)
    word = "class" if inspect.isclass(thing) else "def"
    assert re.match(rf"(@.+\n)?{word} {thing.__name__}\b", source)
    assert Path(inspect.getsourcefile(inspect.unwrap(thing))) == MODULES[thing.__module__]


def test_the_class_of_an_initializer_stands_beside_its_function():
    for entry in CATALOG:
        assert inspect.getsourcefile(entry.cls) == inspect.getsourcefile(entry.function)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_a_traceback_names_the_function_that_was_called(entry):
    with pytest.raises(ValueError, match="shape must not") as caught:
        entry.function((-1, 2, 3))
    frames = traceback.extract_tb(caught.tb)
    assert frames[1].name == entry.name
    assert Path(frames[1].filename) == MODULES[entry.function.__module__]


USER = """
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastinit
from fastinit import initializers

w = fastinit.glorot_uniform((64, 64), seed=1)
assert_type(w, NDArray[Any])
seed: int = fastinit.derive_seed(0, "dense/kernel")
he: initializers.VarianceScaling = initializers.he_normal(seed=fastinit.SeedGenerator(seed))
v = he(shape=(9, 1), dtype=np.float32)
print((v + w[:9, :1]).mean())
initializers.for_activation("relu").clone().get_config()
assert_type(fastinit.random_normal((2, 3), stddev=np.float32(0.1)), NDArray[Any])
assert_type(fastinit.random_normal(out=bytearray(64), dtype="float32"), bytearray)
for function in (fastinit.he_uniform, fastinit.orthogonal, fastinit.zeros, fastinit.random_bits):
    function((2, 2))


class Tensor:
    pass


assert_type(fastinit.he_normal(out=Tensor()), Tensor)
assert_type(fastinit.orthogonal(out=Tensor()), Tensor)
assert_type(fastinit.zeros(out=Tensor()), Tensor)
assert_type(he.lazy((8, 8)).read(0, out=Tensor()), Tensor)
print(fastinit.__version__)
"""


def mypy(*arguments, cwd):
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", *arguments]
    # mypy finds no editable install, which imports by a hook.
    sources = Path(__file__).parents[1] / "src"
    env = {**os.environ, "MYPYPATH": str(sources)} if sources / "fastinit" == PACKAGE else None
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return [line for line in run.stdout.splitlines() if ": error:" in line], run.stdout


def test_strict_type_checking_of_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(USER + "fastinit.he_normal((2, 2), gain=1.0)\n")
    errors, printed = mypy(script.name, cwd=tmp_path)
    assert len(errors) == 1, printed  # the last line alone
    assert 'Unexpected keyword argument "gain" for "he_normal"' in errors[0]


def test_nothing_but_numpy_is_imported():
    code = "import sys, fastinit; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = set(run.stdout.split()) - sys.stdlib_module_names - {"fastinit", "__main__"}
    assert "numpy" in others
    assert not {"scipy", "keras", "jax", "ml_dtypes", "torch"} & others


def test_signatures_hold_types():
    for entry in CATALOG:
        for thing in (entry.function, entry.cls.__init__, entry.cls.__call__):
            for parameter in list(inspect.signature(thing).parameters.values()):
                if parameter.name != "self":
                    assert parameter.annotation is not parameter.empty, (thing, parameter)
            returned = inspect.signature(thing).return_annotation
            assert returned is not inspect.Signature.empty, thing
