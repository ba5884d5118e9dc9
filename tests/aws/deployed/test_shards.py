"""A silver step that is shared out to several calls of its function, and ended by one commit."""

import csv
import io
import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import tables
from botocore.exceptions import BotoCoreError, ClientError
from lakehouse import ENVIRONMENT, Lakehouse
from test_deployed import output, table_versions

TABLE = "silver/transactions"
SOURCE = "emr/hos-a/transactions.csv"
FUNCTION = "silver-transactions"


@contextmanager
def shared_out(lakehouse: Lakehouse):
    """Every batch is shared out: a call may work on nothing but one bucket."""
    kept = lakehouse.get("configs/sources.toml")
    assert b"shard_mb = 4096" in kept
    lakehouse.put("configs/sources.toml", kept.replace(b"shard_mb = 4096", b"shard_mb = 0"))
    try:
        yield
    finally:
        lakehouse.put("configs/sources.toml", kept)


def change_transactions(lakehouse: Lakehouse, amount: str) -> int:
    """Gives the transactions that the hospital changed last another amount; returns how many they are."""
    read = csv.DictReader(io.StringIO(lakehouse.get(SOURCE).decode("utf-8-sig")))
    rows = list(read)
    last = max(row["ModifiedDate"] for row in rows)
    changed = sorted(rows, key=lambda row: row["ModifiedDate"])[-40:]
    for row in changed:
        row["Amount"], row["ModifiedDate"] = amount, last
    written = io.StringIO()
    writer = csv.DictWriter(written, read.fieldnames)
    writer.writeheader()
    writer.writerows(rows)
    lakehouse.put(SOURCE, written.getvalue().encode())
    return len(changed)


def with_amount(lakehouse: Lakehouse, table: str, amount: str, folder: Path) -> int:
    rows = tables.rows(lakehouse.download(table, folder))
    return sum(str(row["amount"]) == amount and row.get("is_current", True) for row in rows)


def test_a_batch_that_is_shared_out_is_one_commit_and_reaches_gold(lakehouse, tmp_path):
    changed = change_transactions(lakehouse, "4321.01")
    before = table_versions(lakehouse)[TABLE]
    with shared_out(lakehouse):
        execution = lakehouse.run()
    assert output(execution)["failures"] == []
    logs = tables.rows(lakehouse.download("audit/load_logs", tmp_path / "audit"))
    subjects = [row["subject"] for row in logs if row["stage"] == "silver-transactions"]
    assert len({subject for subject in subjects if subject.startswith("transactions/shard ")}) > 1, subjects
    assert table_versions(lakehouse)[TABLE] == before + 1
    assert with_amount(lakehouse, "gold/fact_transactions", "4321.01", tmp_path) == changed
    assert lakehouse.keys(f"{TABLE}/_incoming/") == []


def processes(function: str) -> list[int]:
    """The processes in which the stand-in runs a function."""
    name = f"AWS_LAMBDA_FUNCTION_NAME=rcm-{ENVIRONMENT}-{function}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # It has ended meanwhile, or is somebody else's.
    return found


@contextmanager
def killing(function: str):
    """Kills every process of a function as soon as it starts."""
    is_over, killed = threading.Event(), []

    def kill():
        while not is_over.is_set():
            for process in processes(function):
                try:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
                except ProcessLookupError:
                    continue

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        is_over.set()
        killer.join()


def test_a_shard_that_is_killed_is_run_again_alone(lakehouse, tmp_path):
    changed = change_transactions(lakehouse, "4321.02")
    run = {"run_id": "shards-by-hand"}
    row = {"database": "trendytech-hospital-a", "datasource": "hos-a", "tablename": "dbo.transactions"}
    row |= {"loadtype": "Incremental", "watermark": "ModifiedDate", "is_active": True, "targetpath": "hosa"}
    lakehouse.invoke("emr-extract", run | row)
    with shared_out(lakehouse):
        prepared = lakehouse.invoke(FUNCTION, run | {"part": "prepare"})["shared_out"]
        killed_shard, *others = prepared["shards"]
        for part in others:
            lakehouse.invoke(FUNCTION, run | {"part": part})
        with killing(FUNCTION) as killed, pytest.raises((AssertionError, BotoCoreError, ClientError)):
            lakehouse.invoke(FUNCTION, run | {"part": killed_shard})
        assert killed
        before = table_versions(lakehouse)[TABLE]
        with pytest.raises(AssertionError, match="shard 0 of the batch was not written"):
            lakehouse.invoke(FUNCTION, run | {"part": prepared["commit"]})
        lakehouse.invoke(FUNCTION, run | {"part": killed_shard})
        assert table_versions(lakehouse)[TABLE] == before, "a shard commits nothing"
        report = lakehouse.invoke(FUNCTION, run | {"part": prepared["commit"]})
        assert [commit["table"] for commit in report["commits"]][-1] == TABLE
        assert table_versions(lakehouse)[TABLE] == before + 1
        assert lakehouse.invoke(FUNCTION, run | {"part": prepared["commit"]})["outcome"] == "nothing_new"
    assert with_amount(lakehouse, TABLE, "4321.02", tmp_path) == changed
    assert output(lakehouse.run())["failures"] == []
