"""A browser without a window, and the reports that it is shown."""

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/tools"
RCM = ROOT / "target/debug/rcm"
AXE = TOOLS / "npm/node_modules/axe-core/axe.min.js"
# Nothing but the page is asked for, also by the browser itself.
QUIET = [
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-sandbox", "--disable-gpu",
]  # fmt: skip
SAMPLE_DATE = "2024-11-07"


def chromium() -> tuple[str, dict[str, str]]:
    """The program, and its environment: it is installed, or unpacked with the libraries that it needs."""
    if installed := shutil.which("chromium"):
        return installed, dict(os.environ)
    unpacked = TOOLS / "chromium"
    folders = {str(path.parent) for path in unpacked.rglob("*.so*") if "usr/lib/chromium" not in str(path)}
    environment = dict(os.environ) | {"LD_LIBRARY_PATH": ":".join(sorted(folders))}
    if not Path("/etc/fonts/fonts.conf").exists():
        environment["FONTCONFIG_PATH"] = str(unpacked / "etc/fonts")
    return str(unpacked / "usr/lib/chromium/chromium"), environment


@contextmanager
def started():
    program, environment = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET, env=environment)
        yield browser
        browser.close()


def rcm(*arguments, program=RCM) -> str:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def demo_of(program: Path, folder: Path) -> Path:
    """The lake of the demo, with its report."""
    rcm("demo", "--dir", folder / "demo", program=program)
    return folder / "demo/lake"


def sample_of(folder: Path) -> Path:
    """The lake of the sample data, with its report."""
    lake, sample = folder / "lake", Path(os.environ["RCM_SAMPLE_DATA"])
    rcm("run", "--lake", lake, "--emr", sample / "emr", "--landing", sample / "landing", "--as-of", SAMPLE_DATE)
    return lake


def date_of(lake: Path) -> str:
    return json.loads((lake / "report/latest/made-from.json").read_text())["as_of"]
