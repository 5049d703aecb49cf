import ast
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fastinit
from fastinit import initializers

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "src/fastinit/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stubs_are_up_to_date(generate):
    for name, text in generate.STUBS.items():
        assert (ROOT / "src/fastinit" / name).read_text(encoding="utf-8") == text()


def described(arguments):
    """(name, kind, default) of each parameter of a function in a stub."""
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    for kind, names, values in (
        (inspect.Parameter.POSITIONAL_OR_KEYWORD, positional, defaults),
        (inspect.Parameter.KEYWORD_ONLY, arguments.kwonlyargs, arguments.kw_defaults),
    ):
        for name, value in zip(names, values, strict=True):
            yield (
                name.arg,
                kind,
                inspect.Parameter.empty if value is None else ast.literal_eval(value),
            )


def real(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("module", [fastinit, initializers], ids=lambda module: module.__name__)
def test_stubs_and_run_time_agree(module):
    stub = Path(module.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    found = set()
    for node in ast.parse(stub).body:
        if isinstance(node, ast.FunctionDef):
            assert list(described(node.args)) == real(getattr(module, node.name))
            found.add(node.name)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            cls = getattr(module, node.name)
            assert [base.id for base in node.bases] == [
                base.__name__ for base in cls.__bases__ if base is not object
            ]
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    function = inspect.getattr_static(cls, member.name)
                    function = getattr(function, "fget", getattr(function, "__func__", function))
                    assert list(described(member.args)) == real(function)
            found.add(node.name)
        elif isinstance(node, ast.Assign) and not node.targets[0].id.startswith("_"):
            assert getattr(module, node.targets[0].id) is getattr(module, node.value.id)
            found.add(node.targets[0].id)
        elif isinstance(node, ast.AnnAssign):
            found.add(node.target.id)
    assert found - {"__version__"} == set(module.__all__) - {"initializers"}


USER = """
import numpy as np
import fastinit
from fastinit import initializers

w = fastinit.glorot_uniform((64, 64), seed=1)
seed: int = fastinit.derive_seed(0, "dense/kernel")
he: initializers.VarianceScaling = initializers.he_normal(seed=fastinit.SeedGenerator(seed))
v = he(shape=(9, 1), dtype=np.float32)
print((v + w[:9, :1]).mean())
initializers.for_activation("relu").clone().get_config()
"""


def test_strict_type_checking_of_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(USER + "fastinit.he_normal((2, 2), gain=1.0)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", script.name]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = [line for line in run.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, run.stdout  # the last line alone
    assert 'Unexpected keyword argument "gain" for "he_normal"' in errors[0]


def test_the_readme_has_the_table(generate):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generate.table() in readme


def test_nothing_but_numpy_is_imported():
    code = "import sys, fastinit; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy", "keras", "jax", "ml_dtypes"} & set(run.stdout.split())
