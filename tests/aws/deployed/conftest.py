import os
import subprocess
import time
from pathlib import Path

import pytest
import tables
from lakehouse import AS_OF, LONGEST_CALL_SECONDS, Lakehouse
from stand_in import ROOT, StandIn

RCM = ROOT / "target/debug/rcm"
# Where no sample data are given, the tests make up their own.
MADE_UP_ROWS = "2000"


@pytest.fixture(scope="session")
def sources(began, tmp_path_factory) -> Path:
    """A folder with `emr/` and `landing/`, all of whose files were written since `began`."""
    folder = tmp_path_factory.mktemp("sources")
    if given := os.environ.get("RCM_SAMPLE_DATA"):
        for path in Path(given).rglob("*.csv"):
            copy = folder / path.relative_to(given)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            # The kernel's own time of writing may be a tick behind the clock.
            os.utime(copy, ns=(time.time_ns(), time.time_ns()))
        return folder
    command = [RCM, "generate", "--rows", MADE_UP_ROWS, "--out", folder]
    subprocess.run(command, check=True, timeout=LONGEST_CALL_SECONDS)
    return folder / "base"


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    started = StandIn(tmp_path_factory.mktemp("stand-in"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def deployed(stand_in, tmp_path_factory) -> Lakehouse:
    """The lakehouse with its configuration and without any data."""
    lakehouse = Lakehouse(stand_in, tmp_path_factory.mktemp("deployment"))
    lakehouse.put_folder(ROOT / "infra/config", "configs")
    return lakehouse


@pytest.fixture(scope="session")
def began():
    """A moment before everything that the tests do."""
    return tables.now()


@pytest.fixture(scope="session")
def lakehouse(began, deployed, sources) -> Lakehouse:
    """The lakehouse after its first run: the files have landed one by one, then the pipeline ran."""
    deployed.put_folder(sources / "emr", "emr")
    for path in sorted((sources / "landing").rglob("*.csv")):
        deployed.land(f"landing/{path.relative_to(sources / 'landing')}", path.read_bytes())
    execution = deployed.run()
    assert execution["status"] == "SUCCEEDED", execution
    assert '"failures":[]' in execution["output"].replace(" ", ""), execution["output"]
    return deployed


@pytest.fixture(scope="session")
def folder_lake(began, sources, tmp_path_factory) -> Path:
    """The lake of one run on this machine, over the same files."""
    lake = tmp_path_factory.mktemp("folder") / "lake"
    command = [RCM, "run", "--lake", lake, "--emr", sources / "emr", "--landing", sources / "landing"]
    command += ["--as-of", AS_OF, "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=LONGEST_CALL_SECONDS)
    return lake
