"""script/wheels: what it refuses, and with the marker exhaustive what it builds."""

import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

import fastinit
from fastinit import _kernels

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "script" / "wheels"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the wheels are those of Linux")


def load_script():
    loader = SourceFileLoader("wheels", str(SCRIPT))
    module = module_from_spec(spec_from_loader("wheels", loader))
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = written
    return module


def faults(wheel):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check", wheel], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr


def write_wheel(path, members):
    """Write a wheel with these members, and a RECORD of them unless they have one."""
    info = "fastinit_kernels-0.1.0.dist-info"
    rows = []
    for name, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}\n")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if f"{info}/RECORD" not in members:
            archive.writestr(f"{info}/RECORD", "".join(rows) + f"{info}/RECORD,,\n")


def installed():
    """Return the members of a wheel of what is installed here, which was not repaired."""
    package = Path(fastinit.__file__).parent
    members = {f"fastinit/{path.name}": path.read_bytes() for path in package.glob("_*.so")}
    licence = (ROOT / "LICENSE").read_bytes()
    return members | {"fastinit_kernels-0.1.0.dist-info/licenses/LICENSE": licence}


def name_of(policy="manylinux_2_28"):
    return f"fastinit_kernels-0.1.0-cp311-cp311-{policy}_{platform.machine()}.whl"


needs_readelf = pytest.mark.skipif(not shutil.which("readelf"), reason="there is no readelf")
is_made_for = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="no wheels for this machine"
)


@needs_readelf
@is_made_for
def test_what_was_not_repaired_is_refused(tmp_path):
    write_wheel(tmp_path / name_of(), installed())
    found = faults(tmp_path / name_of())
    assert "the libraries are [], not one libgomp" in found
    assert "lacks the GCC RUNTIME LIBRARY EXCEPTION" in found
    assert "not as RECORD says" not in found
    runtime = re.search(r"needs (the system's libgomp|lib\w*omp)", found)
    is_repaired = Path(fastinit.__file__).parents[1].joinpath("fastinit_kernels.libs").exists()
    assert bool(runtime) == bool(_kernels.openmp() and not is_repaired)
    assert "exports" not in found


def test_the_name_of_another_policy_is_refused(tmp_path):
    wheel = tmp_path / name_of("manylinux_2_34")
    write_wheel(wheel, installed())
    assert "is not named as a wheel of manylinux_2_28" in faults(wheel)


@needs_readelf
@is_made_for
def test_a_changed_file_is_refused(tmp_path):
    write_wheel(tmp_path / "good.whl", installed())
    with zipfile.ZipFile(tmp_path / "good.whl") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["fastinit_kernels-0.1.0.dist-info/licenses/LICENSE"] += b"more"
    write_wheel(tmp_path / name_of(), members)
    assert "licenses/LICENSE is not as RECORD says" in faults(tmp_path / name_of())


@needs_readelf
@is_made_for
def test_a_stray_symbol_is_refused(tmp_path):
    """A module under another name exports another one's PyInit_."""
    members = installed()
    (arrays,) = (name for name in members if name.startswith("fastinit/_arrays"))
    (kernels,) = (name for name in members if name.startswith("fastinit/_kernels"))
    members[arrays] = members[kernels]
    write_wheel(tmp_path / name_of(), members)
    assert "exports PyInit__kernels, not PyInit__arrays alone" in faults(tmp_path / name_of())


def test_compilers_are_told_from_other_programs():
    compilers = load_script().COMPILERS
    for name in ("cc", "gcc-12", "x86_64-linux-gnu-gcc-12", "c++", "g++", "clang-14", "zig"):
        assert compilers.fullmatch(name)
    for name in ("sh", "unshare", "gcov", "ld"):
        assert not compilers.fullmatch(name)


def test_each_test_that_is_left_out_exists():
    script = load_script()
    for name in script.TESTS_LEFT_OUT:
        assert (ROOT / "tests" / f"test_{name}.py").exists()
    for name in script.TESTS_THAT_BUILD:
        file, _, test = name.partition("::")
        assert f"def {test.partition('[')[0]}(" in (ROOT / "tests" / file).read_text()


@pytest.mark.exhaustive
def test_two_builds_are_equal_and_pass_the_checks(tmp_path):
    """The command itself compares the bytes; some four minutes on two idle cores."""
    tools = ["x86_64-linux-gnu-gcc", "aarch64-linux-gnu-gcc", "apt-get"]
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"wheels not tested, not installed: {', '.join(missing)}")
    command = [sys.executable, SCRIPT, "--twice", "--python", sys.executable, "--out", tmp_path]
    environment = {**os.environ, "WHEELS_DIR": str(tmp_path / "work")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    wheels = list(tmp_path.glob("*.whl"))
    assert {wheel.stem.rpartition("2_28_")[2] for wheel in wheels} == {"x86_64", "aarch64"}
    assert len(list(tmp_path.glob("*.tar.gz"))) == 1
