"""Runs the product and other ways to do the same work in turn, checks that they agree, and prints one table.

Usage: bench.py RCM ROWS WORK [PART]. Every measurement is a process of its own: its time, its peak memory, and the bytes
that it read and wrote, as the system counts them. The ratio of a row is to the row that it names. Transactions are
generated and loaded in parts of PART rows, ten million by default, so that the files of one part are on the disk at a
time.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from scripts import AFTER, CSV_TO_PARQUET, DUCKDB, FLOOR, MERGE, SUMS

RCM, ROWS, WORK = Path(sys.argv[1]).resolve(), int(sys.argv[2]), Path(sys.argv[3]).resolve()
PART = int(sys.argv[4]) if len(sys.argv) > 4 else 10_000_000
ROUNDS = 3
# Rows of a table up to which others merge into it too (they need more memory than the machine has), and the baselines
# are repeated.
MERGED, REPEATED = 20_000_000, 20_000_000
# Share of the rows that a delivery changes; `rcm generate` adds a tenth of that as new rows.
CHANGES = 0.14
SMALL = 10_000
# Loads of every stream of the old lake.
OLD_LOADS = 365
BASE_DAY, CHANGED_DAY, LATER_DAY = "2024-11-05", "2024-12-31", "2024-12-15"
HOSPITALS = ("hos-a", "hos-b")
# As the functions are run on AWS: the C library keeps two pools of memory, and not eight.
ENVIRONMENT = os.environ | {"MALLOC_ARENA_MAX": "2"}
SILVER, GOLD = "silver-transactions", ("gold-dimensions", "gold-facts", "gold-kpis")


@dataclass
class Measured:
    """A process: seconds, and bytes of memory at its peak, read, and written; how often it read."""

    seconds: float
    memory: int = 0
    read: int = 0
    written: int = 0
    reads: int = 0
    output: bytes = b""
    # Seconds of a run's stages, from the start of the first call to the end of the last one: calls run side by side.
    stages: dict | None = None

    def of(self, *stages: str) -> "Measured":
        """The time of some stages; the other figures are those of the run."""
        took = sum(self.stages.get(stage, 0) for stage in stages)
        return Measured(took, self.memory, self.read, self.written, self.reads)


def measured(command, may_end_with=(0,)) -> Measured:
    started = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=ENVIRONMENT)
    output = process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = time.monotonic() - started
    lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    io = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in may_end_with:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return Measured(seconds, usage.ru_maxrss * 1024, io["rchar"], io["wchar"], io["syscr"], output)


def python(script, *arguments) -> Measured:
    return measured([sys.executable, "-c", script, *arguments])


def best(script, *arguments, out) -> Measured:
    """The fastest of some rounds. What the last one wrote stays."""
    rounds = []
    for _ in range(ROUNDS if ROWS <= REPEATED else 1):
        shutil.rmtree(out, ignore_errors=True)
        rounds.append(python(script, *arguments, out))
    return min(rounds, key=lambda round: round.seconds)


def run(lake, sources, day, landing=None) -> Measured:
    """A run of the product."""
    empty = WORK / "empty"
    empty.mkdir(exist_ok=True)
    command = [RCM, "run", "--lake", lake, "--emr", sources, "--landing", landing or empty, "--as-of", day, "--json"]
    found = measured(command, may_end_with=(0, 1))
    at = datetime.fromisoformat
    report = json.loads(found.output)
    if report["failures"]:
        sys.exit(f"the run failed: {report['failures']}")
    calls: dict[str, list] = {}
    for stage in report["stages"]:
        calls.setdefault(stage["stage"], []).append((at(stage["started_at"]), at(stage["finished_at"])))
    found.stages = {
        stage: (max(end for _, end in of_stage) - min(start for start, _ in of_stage)).total_seconds()
        for stage, of_stage in calls.items()
    }
    return found


def step(function: str, event: dict, lake, sources=None, name: str = "") -> Measured:
    """One call of a function, a process of its own as on AWS."""
    file = WORK / f"event-{function}{name}.json"
    file.write_text(json.dumps(event))
    return measured([RCM, "call", function, file, "--lake", lake, *(["--emr", sources] if sources else [])])


def steps(lake, sources, day, functions) -> dict[str, Measured]:
    """The extracts, side by side, and some functions after them."""
    event = {"run_id": f"bench-{time.time_ns()}", "as_of": day}
    extracts = json.loads(step("plan", event, lake).output)["extracts"]
    started = time.monotonic()
    with ThreadPoolExecutor() as pool:
        calls = enumerate(extracts)
        extracted = list(pool.map(lambda call: step("emr-extract", call[1], lake, sources, f"-{call[0]}"), calls))
    together = extracted[0]
    for other in extracted[1:]:
        together = added(together, other)
    together.seconds = time.monotonic() - started
    return {"emr-extract": together} | {function: step(function, event, lake) for function in functions}


def after(found: dict[str, Measured]) -> Measured:
    """What gold took."""
    gold = found[GOLD[0]]
    for function in GOLD[1:]:
        gold = added(gold, found[function])
    return gold


def files(lake, table="silver/transactions"):
    """The active files of a table, as its log names them."""
    from deltalake import DeltaTable

    return [uri.removeprefix("file://") for uri in DeltaTable(lake / table).file_uris()]


def sums(paths) -> list[str]:
    """Current rows, billed and paid."""
    return answer(python(SUMS, *sorted(map(str, paths))))


def answer(found: Measured) -> list[str]:
    """What a script printed last: DuckDB shows the progress of long queries before it."""
    return json.loads(found.output.splitlines()[-1].rsplit(b"\r", 1)[-1])


def linked(folder: Path, to: Path) -> Path:
    """A copy of a folder that takes no disk: no file of a lake is ever written again, it is replaced."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to, copy_function=os.link)
    return to


def files_linked(paths, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for number, path in enumerate(paths):
        os.link(path, to / f"{number}.parquet")
    return to


def configured(lake: Path, tables: list[str]) -> Path:
    """An empty lake of which some tables are extracted, with about a million rows in a bucket."""
    shutil.rmtree(lake, ignore_errors=True)
    lake.mkdir(parents=True)
    shutil.copytree(Path(__file__).parents[2] / "infra/config", lake / "configs")
    load_config = lake / "configs/emr/load_config.csv"
    header, *lines = load_config.read_text().splitlines()
    load_config.write_text("\n".join([header] + [line for line in lines if line.split(",")[2][4:] in tables]) + "\n")
    sources = lake / "configs/sources.toml"
    buckets = max(4, ROWS // 1_000_000)
    sources.write_text(sources.read_text().replace("transactions = 4", f"transactions = {buckets}"))
    return lake


def generated(out: Path, rows: int, seed: int = 42) -> Path:
    command = [RCM, "generate", "--rows", rows, "--changes", CHANGES, "--seed", seed, "--out", out]
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return out


def parts():
    """Folders with the base and the changes of the transactions, one part after the other: each is gone when the next one
    comes. The parts have the same rows with other ids."""
    whole = generated(WORK / "whole", min(PART, ROWS))
    for kind in ("base", "changes"):
        shutil.rmtree(whole / kind / "landing")
        for file in (whole / kind / "emr").glob("*/*"):
            if file.name != "transactions.csv":
                file.unlink()
    for number in range(-(-ROWS // PART)):
        part = linked(whole, WORK / "part")
        if ROWS > PART:
            for file in part.glob("*/emr/*/transactions.csv"):
                with_other_ids(file, f"P{number}")
        yield part
        shutil.rmtree(part)
    shutil.rmtree(whole)


def with_other_ids(file: Path, prefix: str) -> None:
    other = file.with_suffix(".other")
    duckdb.sql(
        f"copy (select * replace ('{prefix}' || TransactionID as TransactionID) from "
        f"read_csv('{file}', all_varchar = true)) to '{other}' (header)"
    )
    other.rename(file)


def appended(changes: Path, to: Path) -> None:
    """Adds the changes of a part to the delivery."""
    for hospital in HOSPITALS:
        file, more = to / hospital / "transactions.csv", changes / "emr" / hospital / "transactions.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "ab") as into, open(more, "rb") as rows:
            header = rows.readline()
            if into.tell() == 0:
                into.write(header)
            shutil.copyfileobj(rows, into)


# Columns of a hospital's file by the column of silver; a key is an id of the hospital.
OF_SILVER = {
    "TransactionID": "src_transaction_id", "EncounterID": "encounter_key", "PatientID": "patient_key",
    "ProviderID": "provider_key", "DeptID": "dept_key", "VisitDate": "visit_date", "ServiceDate": "service_date",
    "PaidDate": "paid_date", "VisitType": "visit_type", "Amount": "amount", "AmountType": "amount_type",
    "ClaimID": "claim_id", "PayorID": "payor_id", "ProcedureCode": "procedure_code", "ICDCode": "icd_code",
    "LineOfBusiness": "line_of_business", "MedicaidID": "medicaid_id", "MedicareID": "medicare_id",
}  # fmt: skip


def one_percent(paths, header: list[str], chosen: str, to: Path) -> int:
    """Writes a delivery of a hundredth of the transactions, each with one more paid. Returns how many."""
    count = 0
    for hospital in HOSPITALS:
        file = to / hospital / "transactions.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        columns = []
        for name in header:
            column = OF_SILVER.get(name)
            value = f"replace({column}::varchar, '-{hospital}', '')" if column else f"'{BASE_DAY}'"
            value = {"PaidAmount": "(coalesce(paid_amount, 0) + 1)::varchar", "ModifiedDate": f"'{LATER_DAY}'"}.get(name, value)
            columns.append(f"{value} as {name}")
        source = f"read_parquet({paths}, hive_partitioning = false)"
        duckdb.sql(
            f"copy (select {', '.join(columns)} from {source} where is_current and datasource = '{hospital}' and "
            f"not is_deleted and {chosen} limit {ROWS // 200}) to '{file}' (header)"
        )
        count += duckdb.sql(f"select count(*) from read_csv('{file}', all_varchar = true)").fetchone()[0]
    return count


def deliveries_of_one_percent(lake, header, before, table):
    """The runs of a hundredth of the keys at random, and of as many keys of one bucket."""
    everything = files(lake)
    one_bucket = [path for path in everything if "/bucket=0/" in path]
    found = {}
    for name, paths, chosen in [
        ("at random", everything, "hash(transaction_key) % 100 = 0"),
        ("in one bucket", one_bucket, "true"),
    ]:
        sources, copy = WORK / "one-percent", linked(lake, WORK / "copy")
        shutil.rmtree(sources, ignore_errors=True)
        count = one_percent(paths, header, chosen, sources)
        if chosen == "true":
            # The figures of the day are there already: what the delivery costs beside them.
            for function in GOLD:
                step(function, {"run_id": "before", "as_of": CHANGED_DAY}, copy)
        found[name] = steps(copy, sources, CHANGED_DAY, (SILVER, *GOLD))
        now = sums(files(copy))
        expected = [before[0], before[1], str(float(before[2]) + count)]
        if now[:2] != expected[:2] or abs(float(now[2]) - float(expected[2])) > 0.005:
            sys.exit(f"1 % {name}: {now}, and {expected} were expected")
        shutil.rmtree(copy)
    return found


def transactions(table) -> None:
    """The first load, a delivery of many rows and of few, and what others need for the same."""
    lake, delivery = configured(WORK / "lake", ["transactions"]), WORK / "delivery"
    shutil.rmtree(delivery, ignore_errors=True)
    csv, bronze, silver, out = Measured(0), Measured(0), Measured(0), WORK / "out"
    header, disk = [], 0.0
    is_compared = ROWS <= MERGED
    for part in parts():
        base = part / "base/emr"
        with open(base / HOSPITALS[0] / "transactions.csv") as lines:
            header = lines.readline().strip().split(",")
        csv = added(csv, best(CSV_TO_PARQUET, base, out=out))
        shutil.rmtree(out)
        first = steps(lake, base, BASE_DAY, (SILVER,))
        bronze, silver = added(bronze, first["emr-extract"]), added(silver, first[SILVER])
        disk = max(disk, gigabytes())
        without_dead_files(lake)
        appended(part / "changes", delivery)
    if is_compared:
        for function in GOLD:
            step(function, {"run_id": "first", "as_of": BASE_DAY}, lake)
    before = sums(files(lake))
    unchanged = files_linked(files(lake), WORK / "before")
    floor = best(FLOOR, unchanged, out=out)
    table.add("floor: Polars reads and writes the table", floor, floor, "floor")
    shutil.rmtree(out)
    if not is_compared:
        by_hand = answer(python(AFTER, unchanged, delivery))
    else:
        by_duckdb = best(DUCKDB, unchanged, delivery, out=out)
        by_hand = sums(out.glob("*.parquet"))
        shutil.rmtree(out)
        table.add("DuckDB, the whole table written anew", by_duckdb, floor, "floor")
        merged = linked(lake / "silver/transactions", WORK / "merged")
        table.add("deltalake, MERGE", python(MERGE, merged, delivery), floor, "floor")
        same("MERGE", sums(files(WORK, "merged")), by_hand)
        shutil.rmtree(merged)
    few = deliveries_of_one_percent(lake, header, before, table) if is_compared else {}
    if ROWS <= PART:
        shared_out(lake, delivery, by_hand, table)
    shutil.rmtree(unchanged)
    second = steps(lake, delivery, CHANGED_DAY, (SILVER, *GOLD) if is_compared else (SILVER,))
    same("silver", sums(files(lake)), by_hand)
    disk = max(disk, gigabytes())
    table.add(f"silver, a delivery of {CHANGES:.0%}", second[SILVER], floor, "floor")
    if is_compared:
        table.add("gold after it", after(second), floor, "floor")
    for name, found in few.items():
        table.add(f"silver, 1 % of the keys {name}", found[SILVER], floor, "floor")
        of_date = "gold after it, of a date that was there" if name == "in one bucket" else "gold after it"
        table.add(of_date, after(found), floor, "floor")
    table.add("Polars, CSV to Parquet", csv, csv, "Polars, CSV")
    table.add("CSV to bronze", bronze, csv, "Polars, CSV")
    table.add("first load, CSV to committed silver", added(bronze, silver), csv, "Polars, CSV")
    if is_compared:
        again = run(lake, delivery, CHANGED_DAY)
        table.add("a run that finds nothing new", again, again, "itself")
    table.note(f"current rows, billed and paid are equal: {', '.join(by_hand)}")
    table.note(f"of the disk at most {disk:.1f} GB were taken, sources and what was not yet vacuumed among them")
    shutil.rmtree(lake)


def called(function: str, event: dict, lake: Path, sources: Path | None = None, core: int | None = None):
    """Starts one call of a function, on one core if one is named."""
    file = WORK / f"event-{core}.json"
    file.write_text(json.dumps(event))
    pinned = [] if core is None else ["taskset", "-c", core]
    command = [*pinned, RCM, "call", function, file, "--lake", lake, *(["--emr", sources] if sources else [])]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=ENVIRONMENT)


def answered(process) -> dict:
    answer = json.loads(process.communicate()[0])
    if process.returncode:
        sys.exit(f"a call failed: {answer}")
    return answer


def shared_out(lake, delivery, by_hand, table) -> None:
    """A batch whose shards one process writes on one core, and two processes on a core each."""
    copy = linked(lake, WORK / "copy")
    sources = copy / "configs/sources.toml"
    text = sources.read_text().replace("shard_mb = 4096", "shard_mb = 0")
    sources.unlink()
    sources.write_text(text)
    run_id = "shared-out"
    plan = answered(called("plan", {"run_id": run_id, "as_of": CHANGED_DAY}, copy))
    for extract in plan["extracts"]:
        answered(called("emr-extract", extract, copy, delivery))
    batch = answered(called(SILVER, {"run_id": run_id, "part": "prepare"}, copy))["shared_out"]
    shards = batch["shards"]

    def write(lake, cores: int) -> float:
        """Seconds until all shards are written; each core writes as many, one after the other."""
        started = time.monotonic()
        for at in range(0, len(shards), cores):
            calls = [
                called(SILVER, {"run_id": run_id, "part": shard}, lake, core=core)
                for core, shard in enumerate(shards[at : at + cores])
            ]
            for call in calls:
                answered(call)
        return time.monotonic() - started

    other = linked(copy, WORK / "other")
    one, two = Measured(write(other, 1)), Measured(write(copy, 2))
    answered(called(SILVER, {"run_id": run_id, "part": batch["commit"]}, copy))
    same("shards", sums(files(copy)), by_hand)
    table.add(f"{len(shards)} shards, one process at a time on one core", one, one, "one process")
    table.add("the same, two processes on a core each", two, one, "one process")
    shutil.rmtree(copy)
    shutil.rmtree(other)


def without_dead_files(lake) -> None:
    """Removes files that only older versions of the table need, as maintenance does after some days."""
    from deltalake import DeltaTable

    DeltaTable(lake / "silver/transactions").vacuum(0, dry_run=False, enforce_retention_duration=False)


def gigabytes() -> float:
    """What the work folder takes of the disk."""
    found = {}
    for path in WORK.rglob("*"):
        if path.is_file():
            status = path.stat()
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values()) / 1e9


def added(one: Measured, more: Measured) -> Measured:
    return Measured(
        one.seconds + more.seconds, max(one.memory, more.memory), one.read + more.read, one.written + more.written,
        one.reads + more.reads,
    )  # fmt: skip


def same(name: str, found: list[str], expected: list[str]) -> None:
    if found != expected:
        sys.exit(f"the results differ: {name} has {found}, by hand they are {expected}")


def claims(table) -> None:
    """Landed events: a batch in order, and the same batch of which a tenth comes late."""
    data = generated(WORK / "claims", min(ROWS, PART))
    lake, empty = configured(WORK / "lake", []), WORK / "empty"
    codes = data / "base/landing/cptcodes"
    shutil.rmtree(codes, ignore_errors=True)
    run(lake, empty, BASE_DAY, data / "base/landing")
    for name, late in [("in order", 0), ("a tenth late", 10)]:
        copy, landing = linked(lake, WORK / "copy"), WORK / "landing"
        shutil.rmtree(landing, ignore_errors=True)
        for file in (data / "changes/landing").rglob("*.csv"):
            to = landing / file.relative_to(data / "changes/landing")
            to.parent.mkdir(parents=True, exist_ok=True)
            header = file.open().readline().strip().split(",")
            key, modified = header[0], next(column for column in header if "odif" in column)
            moved = f"(try_cast({modified} as date) - 60)::varchar"
            late_row = f"hash({key}) % 100 < {late}"
            duckdb.sql(
                f"copy (select * replace (case when {late_row} then {moved} else {modified} end as {modified}) from "
                f"read_csv('{file}', all_varchar = true)) to '{to}' (header)"
            )
        found = run(copy, empty, CHANGED_DAY, landing).of("silver-claims")
        in_order = found if late == 0 else in_order
        table.add(f"silver, events {name}", found, in_order, "in order")
        rows = duckdb.sql(
            f"select count(distinct claim_key), count(*) filter (is_current) from "
            f"read_parquet({files(copy, 'silver/claims')}, hive_partitioning = false)"
        ).fetchone()
        if rows[0] != rows[1]:
            sys.exit(f"events {name}: {rows[0]} claims have {rows[1]} current versions")
        shutil.rmtree(copy)
    shutil.rmtree(data)
    shutil.rmtree(lake)


def small(table) -> None:
    """All tables of a small hospital group: a first run, an empty one, and an empty one years later."""
    data = generated(WORK / "small", SMALL)
    lake = configured(WORK / "lake", ["transactions", "patients", "encounters", "providers", "departments"])
    sources, landing = data / "base/emr", data / "base/landing"
    first = run(lake, sources, BASE_DAY, landing)
    empty = run(lake, sources, BASE_DAY, landing)
    with_old_loads(lake)
    run(lake, sources, BASE_DAY, landing)
    old = run(lake, sources, BASE_DAY, landing)
    table.add(f"{SMALL:,} transactions and all else, first run", first, first, "itself")
    table.add("an empty run", empty, first, "first run")
    table.add(f"an empty run after {OLD_LOADS} loads of every stream", old, empty, "empty run")
    table.note(f"an empty run reads {empty.reads:,} times, on the old lake {old.reads:,} times")
    shutil.rmtree(data)
    shutil.rmtree(lake)


def with_old_loads(lake: Path) -> None:
    """Adds loads that bring the last rows of their stream again."""
    for log in sorted(lake.glob("bronze/*/*/_loads")):
        last = json.loads(max(log.iterdir()).read_text())
        for sequence in range(last["sequence"] + 1, OLD_LOADS + 1):
            load = {**last, "sequence": sequence, "load_id": f"{last['load_id']}-{sequence}"}
            extracted_at = datetime.fromisoformat(last["extracted_at"]) + timedelta(milliseconds=sequence)
            load["extracted_at"] = extracted_at.isoformat().replace("+00:00", "Z")
            if last["source"]["name"].startswith("landing/"):
                load["source"] = {**last["source"], "name": f"{last['source']['name']}.{sequence}"}
            (log / f"{sequence:020}.json").write_text(json.dumps(load))


class Table:
    """What was measured, printed as it comes."""

    def __init__(self):
        self.notes = []
        print(f"{ROWS:,} transactions; the best of {ROUNDS if ROWS <= REPEATED else 1} rounds of what is not the product")
        print(f"{'':<48} {'seconds':>8} {'ratio':>7} {'to':<12} {'peak MB':>8} {'read MB':>8} {'wrote MB':>8}")

    def add(self, name: str, found: Measured, beside: Measured, what: str) -> None:
        ratio = found.seconds / beside.seconds if beside.seconds else 0
        memory, read, written = (value / 2**20 for value in (found.memory, found.read, found.written))
        print(
            f"{name:<48} {found.seconds:>8.2f} {ratio:>7.2f} {what:<12} {memory:>8.0f} {read:>8.0f} {written:>8.0f}",
            flush=True,
        )

    def note(self, text: str) -> None:
        self.notes.append(text)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    table = Table()
    if ROWS <= MERGED:
        small(table)
        claims(table)
    transactions(table)
    print("Stages of transactions are a process each, as on AWS; elsewhere memory and bytes are those of the whole run.")
    print("\n".join(table.notes))


if __name__ == "__main__":
    main()
