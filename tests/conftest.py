import os

import pytest

from fastinit import _kernels
from fastinit._files import write as writing

# These files import other libraries, so they are collected only where they are asked for.
INTEGRATION = {
    "test_activations.py",
    "test_engines.py",
    "test_faults_engines.py",
    "test_frozen.py",
    "test_jax.py",
    "test_jax_flax.py",
    "test_jax_initialize.py",
    "test_keras.py",
    "test_keras_explain.py",
    "test_keras_initializers.py",
    "test_keras_lsuv.py",
    "test_keras_scope.py",
    "test_safetensors.py",
    "test_torch.py",
    "test_torch_accelerate.py",
    "test_torch_explain.py",
    "test_torch_init.py",
    "test_torch_init_checks.py",
    "test_torch_initialize.py",
    "test_torch_lsuv.py",
    "test_torch_mesh.py",
    "test_torch_out.py",
    "test_torch_pending.py",
}


def pytest_ignore_collect(collection_path, config):
    if collection_path.name in INTEGRATION:
        return config.option.markexpr != "integration"
    if collection_path.name == "test_site.py":  # script/docs builds the site, and asks for it
        return "FASTINIT_SITE" not in os.environ
    return None


def pytest_collection_finish(session):
    """Build the C programs beside the first tests, if many are to run: it saves half a minute."""
    modules = {getattr(item, "module", None) for item in session.items}
    using = [module for module in modules if hasattr(module, "programs")]
    if using and len(modules) > 20 and not session.config.option.collectonly:
        using[0].programs.begin()


def _kernels_tested():
    lacking = [name for name in _kernels.built_isas() if name not in _kernels.isas()]
    note = f"; NOT tested, hidden or not of this processor: {', '.join(lacking)}" if lacking else ""
    return f"fastinit kernels tested: {', '.join(_kernels.isas())}{note}"


def pytest_report_header():
    return [
        _kernels_tested(),
        "5 minutes on two cores; exhaustive tests: python -m pytest -m exhaustive",
    ]


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(_kernels_tested())


@pytest.fixture(params=_kernels.isas())
def isa(request):
    """Put each of the kernels that can run here in use, for one test."""
    before = _kernels.isa()
    _kernels.use_isa(request.param)
    yield request.param
    _kernels.use_isa(before)


@pytest.fixture
def small_chunks(monkeypatch):
    """Let small files of `fastinit create` have many chunks, not all of a round number of bytes."""
    monkeypatch.setattr(writing, "CHUNK", 4096)
    monkeypatch.setattr(writing, "KEEP_SECONDS", 0)
