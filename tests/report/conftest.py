"""What the tests of the report share: a browser, the program as people install it, and lakes with a report."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import ROOT, TOOLS, demo_of, sample_of, started


@pytest.fixture(scope="session")
def browser():
    with started() as browser:
        yield browser


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """`rcm` in an environment that its wheel is installed into. The wheel is made of what is built already."""
    wheels, environment = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("environment")
    build = [TOOLS / "tests/bin/maturin", "build", "--profile", "dev", "--manifest-path", ROOT / "infra/local/Cargo.toml"]
    as_it_is = ["--compatibility", "linux", "--auditwheel", "skip", "--strip", "false", "--compression-method", "stored"]
    subprocess.run([*build, *as_it_is, "--out", wheels], check=True)
    [wheel] = wheels.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin/pip", "install", "--quiet", "--no-index", wheel], check=True)
    return environment / "bin/rcm"


@pytest.fixture(scope="session")
def demo(installed, tmp_path_factory) -> Path:
    """The lake of the demo."""
    return demo_of(installed, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session", params=["demo", pytest.param("sample", marks=pytest.mark.skipif(
    "RCM_SAMPLE_DATA" not in os.environ, reason="RCM_SAMPLE_DATA names no folder of sample data"))])  # fmt: skip
def lake(request, tmp_path_factory) -> Path:
    if request.param == "demo":
        return request.getfixturevalue("demo")
    return sample_of(tmp_path_factory.mktemp("sample"))
