"""`rcm` as a wheel: made of what is built already, installed into an environment of its own, and run from it."""

import subprocess


def test_the_wheel_has_the_program_and_its_version(installed):
    said = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True).stdout
    listed = subprocess.run([installed.parent / "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True).stdout
    assert said.split()[1] in listed and f"rcm-lakehouse=={said.split()[1]}" in listed.splitlines()


def test_the_demo_runs_from_it(demo):
    """The lake that the tests of the report look at."""
    assert (demo / "report/latest/index.html").is_file()
