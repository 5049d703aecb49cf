"""The C functions: from Cython, from C extensions, and in C programs without Python.

The examples of docs/examples are built as docs/c.md says, in fresh folders, against the installed
package.  tests/c_interface/every.pyx calls every function of fastinit.c_api.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from fills import FILLS, PARAMETERS, as_bits, assert_same_bits
from fills import fill as kernel_fill
from processes import copy_package, run_python

import fastinit
from fastinit import _kernels, initializers

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "c.md"
HEADERS = ("fastinit.h", "fastinit_python.h")

posix = pytest.mark.skipif(os.name != "posix", reason="the compiler is called as cc")


def need(*tools, modules=()):
    """Skip the test where a tool is missing; fail in continuous integration."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    missing += [name for name in modules if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def call(*command, cwd, timeout=600, **environment):
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, "CFLAGS": "-O0", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def path_of_declarations():
    """Return what Cython needs to find c_api.pxd: in an editable install it is told the folder."""
    is_editable = Path(fastinit.__file__).is_relative_to(ROOT)
    return {"PYTHONPATH": str(ROOT / "src")} if is_editable else {}


def load(name, folder):
    """Import a compiled module from a folder."""
    (path,) = folder.glob(f"{name}.*{sysconfig.get_config_var('EXT_SUFFIX')[-3:]}")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install(example, folder, **environment):
    """Install a folder of docs/examples into a fresh one, as a user does."""
    shutil.copytree(EXAMPLES / example, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps"]
    target = folder / "installed"
    call(*pip, "--no-index", "--target", target, ".", cwd=folder / "source", **environment)
    return target


@pytest.fixture(scope="module")
def cython_example(tmp_path_factory):
    need("cc", modules=["Cython", "setuptools", "pip"])
    folder = tmp_path_factory.mktemp("cython")
    return install("cython_extension", folder, **path_of_declarations())


@pytest.fixture(scope="module")
def embedding(cython_example):
    return load("embedding", cython_example)


@pytest.fixture(scope="module")
def c_example(tmp_path_factory):
    need("cc", modules=["setuptools", "pip"])
    return install("c_extension", tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def uniform_values(c_example):
    return load("uniform_values", c_example)


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    need("cc", modules=["Cython", "setuptools"])
    folder = tmp_path_factory.mktemp("every") / "source"
    shutil.copytree(Path(__file__).with_name("c_interface"), folder)
    code = "import fastinit, sys; sys.path += sys.argv[1:]; import runpy; sys.argv = "
    code += "['setup.py', 'build_ext', '--inplace']; runpy.run_path('setup.py')"
    # The folder of the sources comes last, as only the declarations are wanted from there.
    call(sys.executable, "-c", code, *path_of_declarations().values(), cwd=folder)
    return load("every", folder)


# The headers.


def test_the_headers_are_those_of_the_sources():
    folder = Path(fastinit.get_include())
    assert folder.is_absolute()
    for name in HEADERS:
        assert (folder / name).read_bytes() == (ROOT / "include" / name).read_bytes()


@posix
@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_compiles_alone(tmp_path, header, language):
    compiler, standard = {"c": ("cc", "c11"), "c++": ("c++", "c++11")}[language]
    need(compiler)
    (tmp_path / "user.txt").write_text(f"#include <{header}>\n", encoding="utf-8")
    # Python's own headers are those of a system, whose warnings count for nothing.
    include = ["-I", fastinit.get_include(), "-isystem", sysconfig.get_path("include")]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror"]
    warnings = [w for w in warnings if language == "c" or w != "-Wstrict-prototypes"]
    options = ["-fsyntax-only", f"-std={standard}", *warnings, "-x", language]
    call(compiler, *options, *include, "user.txt", cwd=tmp_path)


@pytest.mark.skipif(
    Path(fastinit.__file__).is_relative_to(ROOT / "src"),
    reason="an editable install cannot be copied",
)
def test_headers_without_metadata_and_missing_headers(tmp_path):
    code = copy_package(tmp_path) + "print(fastinit.get_include())"
    found = run_python(code, tmp_path, PYTHONPATH=str(tmp_path))
    assert Path(found) == tmp_path / "fastinit" / "include"
    shutil.rmtree(tmp_path / "fastinit" / "include")
    code = code.replace("print(", "try: print(") + (
        "\nexcept FileNotFoundError as error: print('error:', error)"
    )
    said = run_python(code, tmp_path, PYTHONPATH=str(tmp_path))
    assert said.startswith(f"error: {tmp_path / 'fastinit' / 'include' / 'fastinit.h'} is missing")


# What the package alone calls, and what only makes sense before its import.
NOT_FOR_EXTENSIONS = {
    "fastinit_init",
    "fastinit_is_private",
    "fastinit_isa_available",
    "fastinit_isa_built",
    "fastinit_isas",
    "fastinit_place",
    "fastinit_places",
    "fastinit_populate",
    "fastinit_use_isa",
}


def functions_of_the_header():
    text = (ROOT / "include" / "fastinit.h").read_text(encoding="utf-8")
    return re.findall(r"(?m)^FASTINIT_API .*?\**(fastinit_\w+)\(", text)


def test_every_function_is_in_the_table_and_in_the_declarations():
    from fastinit import c_api

    functions = set(functions_of_the_header())
    assert len(functions) == len(functions_of_the_header()) >= 20
    offered = functions - NOT_FOR_EXTENSIONS | {"fastinit_check_signals"}
    assert set(c_api.__pyx_capi__) == offered
    text = (ROOT / "include" / "fastinit_python.h").read_text(encoding="utf-8")
    table = text[text.index("typedef struct") : text.index("} fastinit_api;")]
    assert {f"fastinit_{name}" for name in re.findall(r"\(\*(\w+)\)\(", table)} == offered
    rows = re.findall(r"(?m)^\| `(fastinit_\w+)` \|", PAGE.read_text(encoding="utf-8"))
    assert set(rows) == functions | {"fastinit_check_signals"}
    assert len(rows) == len(set(rows))


# From Cython.


def test_a_cython_extension_has_the_same_values(embedding):
    table = np.empty(300_001, np.float32)
    embedding.fill(table, 3, 0.5, 2)
    assert_same_bits(table, fastinit.random_normal(table.shape, stddev=0.5, seed=3))
    ids = np.array([5, 2**40, 7, 5, *range(100)], np.uint64)
    rows = np.empty((ids.size, 96), np.float32)
    embedding.read(rows, ids, 9, 0.1, 2)
    lazy = initializers.TruncatedNormal(stddev=0.1, seed=9).lazy((2**50, 96))
    assert_same_bits(rows, lazy[ids])
    with pytest.raises(ValueError, match="as many rows as ids"):
        embedding.read(rows[1:], ids, 9, 0.1, 2)


def test_a_cython_extension_needs_no_library(cython_example, c_example):
    need("readelf")
    for path in (*cython_example.glob("*.so"), *c_example.glob("*.so")):
        dynamic = call("readelf", "--dynamic", "--symbols", "--wide", path, cwd=path.parent)
        assert f"PyInit_{path.name.partition('.')[0]}" in dynamic
        assert not re.search(r"NEEDED.*(fastinit|kernels)", dynamic)
        assert not re.search(r"UND .*fastinit_", dynamic)


def test_types_are_those_of_the_header(every):
    for name, (declared, of_the_header) in every.pairs().items():
        assert declared == of_the_header, name


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("distribution", "dtype"), FILLS)
def test_every_fill(every, distribution, dtype, threads):
    n, start = 70_001, 2**34 - 30_000
    expected = kernel_fill(distribution, dtype, start, n, seed=2**63 + 5)
    out = np.zeros_like(expected)
    status = every.fill(
        distribution,
        as_bits(out).view(np.uint8),
        dtype,
        np.array([start], np.uint64),
        n,
        2**63 + 5,
        PARAMETERS[distribution],
        threads,
    )
    assert status == 0
    assert_same_bits(out, expected)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize(("distribution", "dtype"), FILLS)
def test_rows_and_keys(every, distribution, dtype, keyed):
    starts = np.array([3, 2**63 + 17, 0, 2**64 - 40], np.uint64)
    expected = kernel_fill(distribution, dtype, starts, starts.size * 37, seed=4, keyed=keyed)
    out = np.zeros_like(expected)
    parameters = PARAMETERS[distribution]
    every.fill(
        distribution, as_bits(out).view(np.uint8), dtype, starts, 37, 4, parameters, 1, keyed
    )
    assert_same_bits(out, expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(every, dtype, threads):
    expected = fastinit.orthogonal((5, 30, 20), gain=0.7, seed=8, dtype=dtype, batch_axis=0)
    out = np.zeros((3, 30, 20), dtype)
    assert every.orthogonal(out.ravel().view("u1"), dtype, 2, 3, 30, 20, 8, 0.7, threads) == 0
    assert_same_bits(out, expected[2:])


@pytest.mark.parametrize("length", [0, 1, 15, 127, 128, 129, 256, 257, 1000])
def test_derived_seeds(every, length):
    name = ("encoder/layer_3/kernel/\N{LATIN SMALL LETTER E WITH ACUTE}" * 50)[:length]
    for root in (0, 1, 2**32, 2**64 - 1, 0x0123456789ABCDEF):
        assert every.derive_seed(root, name.encode()) == fastinit.derive_seed(root, name)


def test_derived_seeds_of_any_bytes(every):
    assert every.derive_seed(0, b"dense/kernel") == 2559848656971532190
    # A byte of 0 and trailing ones count.
    assert every.derive_seed(0, b"a\0b") == fastinit.derive_seed(0, "a\0b")
    assert every.derive_seed(0, b"a\0") != every.derive_seed(0, b"a")


def test_words_and_build(every):
    counter, key = (1, 2, 2**32 - 1, 4), (5, 2**32 - 6)
    assert every.philox(counter, key) == _kernels.philox(counter, key)
    assert every.build() == (_kernels.isa(), _kernels.openmp(), _kernels.thread_limit())


# Signals and stops.


def test_a_poll_stops_a_fill_without_an_exception(every):
    n = 40_000_000  # 160 MB: seconds until the first poll are 0.05
    out = np.zeros(n, np.float32)
    before = every.polls()
    start = np.zeros(1, np.uint64)
    with _portable():
        status = every.fill("normal", out.view("u1"), "float32", start, n, 1, (0, 1), stopped=True)
    assert status == -1
    assert every.polls() == before + 1
    assert out[0] != 0
    assert out[-1] == 0
    out = np.zeros((1500, 1500), np.float64)
    with _portable():
        status = every.orthogonal(
            out.ravel().view("u1"), "float64", 0, 1, 1500, 1500, 1, 1.0, 1, stopped=True
        )
    assert status == -1
    assert every.polls() == before + 2


class _portable:
    """Use the slowest kernels."""

    def __enter__(self):
        self.before = _kernels.isa()
        _kernels.use_isa("portable")

    def __exit__(self, *error):
        _kernels.use_isa(self.before)


INTERRUPT = """
import os, signal, sys, threading
import numpy as np
sys.path.append(sys.argv[1])
import {module}
out = np.zeros(40_000_000, np.float32)
def after_a_while():
    os.kill(os.getpid(), signal.SIGINT)
timer = threading.Timer(0.06, after_a_while)
timer.start()
try:
    {call}
except KeyboardInterrupt:
    print("stopped", out[0] != 0, out[-1] != 0)
timer.join()
{module}.fill(out[:1000], 3, {parameters}, 2)
print(out[999] != 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signals differ elsewhere")
@pytest.mark.parametrize("module", ["embedding", "uniform_values"])
def test_ctrl_c_raises_in_the_extension(module, cython_example, c_example):
    folder = {"embedding": cython_example, "uniform_values": c_example}[module]
    parameters = {"embedding": "0.5", "uniform_values": "-1.0, 1.0"}[module]
    # Many fills, as one of uniform values takes 0.2 s only.
    loop = f"for seed in range(100): {module}.fill(out, seed, {parameters}, 1)"
    code = INTERRUPT.format(module=module, call=loop, parameters=parameters)
    said = run_python(code, folder, FASTINIT_ISA="portable")
    assert said.splitlines()[0].startswith("stopped True")
    assert said.splitlines()[1] == "True"


# From C extensions.


def test_a_c_extension_has_the_same_values(uniform_values):
    out = np.empty(300_001, np.float32)
    uniform_values.fill(out, 3, -0.3, 1.1, 2)
    assert_same_bits(out, fastinit.random_uniform(out.shape, -0.3, 1.1, seed=3))


CHANGES = {
    "another version": (r"#define FASTINIT_ABI_VERSION \d+", "#define FASTINIT_ABI_VERSION 99"),
    "a newer table": (r"int \(\*check_signals\)\(void\);", r"\g<0> int (*newer)(void);"),
}


@posix
@pytest.mark.parametrize("change", [None, *CHANGES])
def test_versions_that_do_not_fit_are_refused(tmp_path, change):
    need("cc")
    for name in HEADERS:
        text = (ROOT / "include" / name).read_text(encoding="utf-8")
        if change:
            text = re.sub(*CHANGES[change], text)
        (tmp_path / name).write_text(text, encoding="utf-8")
    source = EXAMPLES / "c_extension" / "uniform_values.c"
    options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    options += ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    include = ["-I", tmp_path, "-isystem", sysconfig.get_path("include")]
    module = f"uniform_values{sysconfig.get_config_var('EXT_SUFFIX')}"
    call("cc", *options, *include, source, "-o", module, cwd=tmp_path)
    code = "import sys; sys.path.append(sys.argv[1])\ntry: import uniform_values\n"
    code += "except ImportError as error: print(error)\nelse: print('imported')"
    said = run_python(code, tmp_path)
    if change is None:
        assert said == "imported"
        without = run_python(f"import sys; sys.modules['fastinit'] = None\n{code}", tmp_path)
        assert "fastinit" in without
    else:
        assert said.startswith("compiled with version ")
        assert "but the installed fastinit has version 1 and " in said


# C programs without Python.


def blocks_of_the_page(language, marker):
    """Return the fenced blocks of docs/c.md in a language, below a comment that begins so."""
    pattern = rf"<!-- not run: {marker}.* -->\n```{language}\n((?:.*\n)*?)```\n"
    return re.findall(pattern, PAGE.read_text(encoding="utf-8"))


def path_with_meson(folder):
    """Return a PATH with this Python's programs and Meson, wherever it is installed."""
    programs = folder / "programs"
    programs.mkdir()
    meson = programs / "meson"
    command = f'#!/bin/sh\nexec {sys.executable} -m mesonbuild.mesonmain "$@"\n'
    meson.write_text(command, encoding="utf-8")
    meson.chmod(0o755)
    return os.pathsep.join([str(programs), sysconfig.get_path("scripts"), os.environ["PATH"]])


@posix
@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["shared", "static"])
def test_the_library_and_a_c_program(tmp_path, kind):
    """The commands are those of docs/c.md, in a copy of the sources."""
    need("cc", "pkg-config", "nm", modules=["mesonbuild"])
    for name in ("include", "src", "docs/examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("meson.build", "meson.options"):
        shutil.copy(ROOT / name, tmp_path)
    (commands,) = blocks_of_the_page("sh", "tests/test_c_interface.py")
    assert "-Dlibrary=true" in commands
    commands = commands.replace("-Dlibrary=true", f"-Dlibrary=true -Ddefault_library={kind}")
    path = path_with_meson(tmp_path)
    call("sh", "-e", "-c", commands, cwd=tmp_path, PATH=path)

    seed = fastinit.derive_seed(1, "encoder/kernel")
    expected = fastinit.truncated_normal((1000, 64), stddev=0.05, seed=seed)
    written = np.fromfile(tmp_path / "table.bin", np.float32).reshape(1000, 64)
    assert_same_bits(written, expected)

    # Nothing of Python or Cython was asked for, and nothing else is installed.
    said = call("meson", "introspect", "build", "--compilers", cwd=tmp_path, PATH=path)
    assert set(json.loads(said)["host"]) == {"c"}
    installed = tmp_path / "installed"
    files = {str(p.relative_to(installed)) for p in installed.rglob("*") if not p.is_dir()}
    abi = re.search(r"ABI_VERSION (\d+)", (ROOT / "include" / "fastinit.h").read_text())[1]
    shared = sys.platform == "linux" and kind == "shared"
    library = {"lib/libfastinit.so", f"lib/libfastinit.so.{abi}"} if shared else None
    if kind == "static":
        library = {"lib/libfastinit.a"}
    if library:
        assert files == {"include/fastinit.h", "lib/pkgconfig/fastinit.pc", *library}
    assert f"Version: {fastinit.__version__}\n" in (
        installed / "lib" / "pkgconfig" / "fastinit.pc"
    ).read_text(encoding="utf-8")
    if shared:
        named = call(
            "nm", "--dynamic", "--defined-only", installed / "lib" / "libfastinit.so", cwd="."
        )
        exported = {line.split()[-1] for line in named.splitlines()}
        assert exported == set(functions_of_the_header())
        dynamic = call("readelf", "--dynamic", installed / "lib" / "libfastinit.so", cwd=".")
        assert f"[libfastinit.so.{abi}]" in dynamic
        linked = call("readelf", "--dynamic", tmp_path / "table", cwd=".")
        assert f"[libfastinit.so.{abi}]" in linked
    check_the_program(tmp_path)


def check_the_program(folder):
    """Interrupt the program, and give it wrong kernels."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder / "installed" / "lib")}
    command = [str(folder / "table"), "1000000", "64", "large.bin"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**env, "FASTINIT_ISA": "portable"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "filling\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "table: interrupted\n")
    assert not (folder / "large.bin").exists()
    wrong = subprocess.run(
        [str(folder / "table"), "1", "1", "x"],
        env={**env, "FASTINIT_ISA": "none"},
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 1
    assert "FASTINIT_ISA" in wrong.stderr


# Other installations, and the page.


@posix
@pytest.mark.exhaustive
def test_an_editable_install(tmp_path):
    need("cc", "ninja", modules=["Cython", "mesonpy", "setuptools", "pip"])
    # pip and setuptools come from this environment; those that venv brings may be too old.
    call(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    site = call(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=tmp_path)
    others = [path for path in sys.path if path.endswith("site-packages")]
    Path(site.strip(), "others.pth").write_text("\n".join(others), encoding="utf-8")
    path = os.pathsep.join([str(python.parent), path_with_meson(tmp_path)])
    pip = [python, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index"]
    call(*pip, f"-Cbuild-dir={tmp_path / 'build'}", "-e", ROOT, cwd=tmp_path, PATH=path)
    code = "import fastinit; print(fastinit.__file__); print(fastinit.get_include())"
    said = call(python, "-c", code, cwd=tmp_path, PATH=path).splitlines()
    assert Path(said[0]).is_relative_to(ROOT)
    assert Path(said[1]) == ROOT / "include"
    shutil.copytree(EXAMPLES / "cython_extension", tmp_path / "source")
    target = tmp_path / "installed"
    source = {"PYTHONPATH": str(ROOT / "src"), "PATH": path}
    call(*pip, "--target", target, ".", cwd=tmp_path / "source", **source)
    code = """
import sys; sys.path.append(sys.argv[1])
import embedding, fastinit, numpy
out = numpy.empty(1000, "float32")
embedding.fill(out, 3, 0.5, 2)
assert (out == fastinit.random_normal(1000, stddev=0.5, seed=3)).all()
"""
    call(python, "-c", code, target, cwd=tmp_path, PATH=path)


@pytest.mark.parametrize(
    ("language", "example"),
    [
        ("cython", "cython_extension/embedding.pyx"),
        ("toml", "cython_extension/pyproject.toml"),
        ("python", "c_extension/setup.py"),
        ("c", "c_extension/uniform_values.c"),
        ("c", "c_program/table.c"),
    ],
)
def test_blocks_of_the_page_stand_in_the_examples(language, example):
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    blocks = blocks_of_the_page(language, f"from {re.escape(example)}")
    assert blocks
    for block in blocks:
        assert block in text
