"""Runs the product and other ways to do the same work in turn, checks that they agree, and prints ratios.

Usage: bench.py RCM ROWS WORK. The unit of the ratios is the floor: what Polars needs to read the silver table of
transactions and write it again. Every measurement is a process of its own; its peak memory is what the system
counts for it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

RCM, ROWS, WORK = Path(sys.argv[1]).resolve(), int(sys.argv[2]), Path(sys.argv[3]).resolve()
ROUNDS = 3
# Shares of the transactions that a delivery has, and of them those that changed, as `rcm generate` makes them.
CHANGES = 0.14

FLOOR = """
import glob, os, sys
import polars as pl
table, out = sys.argv[1:3]
os.makedirs(out)
for number, file in enumerate(sorted(glob.glob(table + "/**/*.parquet", recursive=True))):
    rows = pl.read_parquet(file, hive_partitioning=False)
    rows.write_parquet(f"{out}/{number}.parquet", compression="zstd", compression_level=1)
"""

CSV_TO_PARQUET = """
import os, sys
import polars as pl
emr, out = sys.argv[1:3]
os.makedirs(out)
for hospital in ("hos-a", "hos-b"):
    rows = pl.scan_csv(f"{emr}/{hospital}/transactions.csv", try_parse_dates=True)
    rows.sink_parquet(f"{out}/{hospital}.parquet", compression="zstd", compression_level=1)
"""

# The whole table is written anew, ended versions and new ones in it: what one writes by hand.
DUCKDB = """
import os, sys
import duckdb
table, emr, out = sys.argv[1:4]
os.makedirs(out)
con = duckdb.connect()
incoming = " union all ".join(
    f"select *, '{hospital}' as datasource, TransactionID || '-{hospital}' as transaction_key "
    f"from read_csv('{emr}/{hospital}/transactions.csv', all_varchar = true)"
    for hospital in ("hos-a", "hos-b")
)
con.execute(f'''
create table incoming as
select transaction_key, datasource, PatientID as patient, cast(Amount as double)::decimal(18, 2) as amount,
       cast(nullif(PaidAmount, '') as double)::decimal(18, 2) as paid_amount, try_cast(PaidDate as date) as paid_date,
       VisitType, AmountType, ClaimID, PayorID, ProcedureCode, ICDCode, LineOfBusiness, MedicaidID, MedicareID,
       try_cast(ServiceDate as date) as service_date, cast(ModifiedDate as timestamp) as modified
from ({incoming}) qualify row_number() over (partition by transaction_key order by ModifiedDate desc) = 1''')
con.execute(f'''
copy (
  with stored as (select * from read_parquet('{table}/**/*.parquet', hive_partitioning = false)),
  changed as (select s.transaction_key, i.modified from stored s join incoming i using (transaction_key)
    where s.is_current and (s.amount, coalesce(s.paid_amount, 0), coalesce(s.paid_date, date '1900-01-01'))
      is distinct from (i.amount, coalesce(i.paid_amount, 0), coalesce(i.paid_date, date '1900-01-01')))
  select s.* replace (
      case when s.is_current and c.modified is not null then c.modified else s.effective_to end as effective_to,
      s.is_current and c.modified is null as is_current)
  from stored s left join changed c using (transaction_key)
  union all by name
  select i.transaction_key, i.datasource, i.amount, i.paid_amount, i.paid_date, i.service_date,
    i.ProcedureCode as procedure_code, i.ICDCode as icd_code, i.LineOfBusiness as line_of_business, true as is_current,
    i.modified as src_modified_at, i.modified as effective_from
  from incoming i left join (select transaction_key from stored where is_current) s using (transaction_key)
  left join changed c using (transaction_key) where s.transaction_key is null or c.modified is not null
) to '{out}/table.parquet' (format parquet, compression zstd, compression_level 1)''')
"""

SUMS = """
import json, sys
import duckdb
print(json.dumps([str(value) for value in duckdb.sql(f'''
select count(*), sum(amount), sum(coalesce(paid_amount, 0)) from read_parquet({sys.argv[1:]}, hive_partitioning = false,
  union_by_name = true) where is_current''').fetchone()]))
"""


def measured(command):
    """Seconds and peak memory in bytes of a process, and what it printed."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return time.monotonic() - started, usage.ru_maxrss * 1024, output


def python(script, *arguments):
    return measured([sys.executable, "-c", script, *map(str, arguments)])


def best(script, *arguments, out):
    """The fastest of some rounds; what it wrote is removed."""
    rounds = []
    for _ in range(ROUNDS):
        shutil.rmtree(out, ignore_errors=True)
        rounds.append(python(script, *arguments, out)[:2])
    return min(rounds)


def run(lake, sources, day):
    """A run of the product: seconds by stage, peak memory of the process."""
    empty = WORK / "empty"
    empty.mkdir(exist_ok=True)
    command = [RCM, "run", "--lake", lake, "--emr", sources, "--landing", empty, "--as-of", day, "--json"]
    seconds, memory, output = measured(list(map(str, command)))
    at = datetime.fromisoformat
    stages = {}
    report = json.loads(output)
    if report["failures"]:
        sys.exit(f"the run failed: {report['failures']}")
    for stage in report["stages"]:
        took = (at(stage["finished_at"]) - at(stage["started_at"])).total_seconds()
        stages[stage["stage"]] = stages.get(stage["stage"], 0) + took
    return seconds, memory, stages


def files(lake):
    """The active files of the silver table, as its log names them."""
    script = "import sys, deltalake; print('\\n'.join(deltalake.DeltaTable(sys.argv[1]).file_uris()))"
    return python(script, lake / "silver/transactions")[2].decode().split()


def copied(paths, to):
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for number, path in enumerate(paths):
        os.link(path.removeprefix("file://"), to / f"{number}.parquet")
    return to


def only_transactions(lake):
    """A configuration in which nothing but transactions is extracted."""
    shutil.copytree(Path(__file__).parents[2] / "infra/config", lake / "configs")
    lines = (lake / "configs/emr/load_config.csv").read_text().splitlines()
    kept = lines[:1] + [line for line in lines[1:] if "transactions" in line]
    (lake / "configs/emr/load_config.csv").write_text("\n".join(kept) + "\n")


def main():
    data, lake = WORK / f"data-{ROWS}", WORK / "lake"
    if not data.exists():
        subprocess.run([RCM, "generate", "--rows", str(ROWS), "--changes", str(CHANGES), "--seed", "42", "--out", data],
                       check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(lake, ignore_errors=True)
    lake.mkdir(parents=True)
    only_transactions(lake)
    base, changes, out = data / "base/emr", data / "changes/emr", WORK / "out"
    csv = best(CSV_TO_PARQUET, base, out=out)
    first = run(lake, base, "2024-11-05")
    table = copied(files(lake), WORK / "before")
    floor = best(FLOOR, table, out=out)
    duckdb = best(DUCKDB, table, changes, out=out)
    by_hand = python(SUMS, *sorted(map(str, out.glob("*.parquet"))))[2]
    second = run(lake, changes, "2024-12-31")
    after = files(lake)
    sums = python(SUMS, *(path.removeprefix("file://") for path in after))[2]
    again = run(lake, changes, "2024-12-31")
    shutil.rmtree(out)
    print(f"{ROWS:,} transactions, then a delivery of {CHANGES:.0%} of them; floor {floor[0]:.2f} s; best of {ROUNDS}")
    print(f"{'':<44} {'seconds':>8} {'x floor':>8} {'memory':>9}")
    silver, gold = "silver-transactions", ("gold-dimensions", "gold-facts", "gold-kpis")
    rows = [
        ("floor: Polars reads and writes the table", *floor),
        ("DuckDB, the whole table written anew", *duckdb),
        ("silver, the delivery", second[2][silver], second[1]),
        ("gold after it", sum(second[2].get(stage, 0) for stage in gold), second[1]),
        ("Polars, CSV to Parquet", *csv),
        ("extract, the first load", first[2]["emr-extract"], first[1]),
        ("silver, the first load", first[2][silver], first[1]),
        ("a run that finds nothing new", again[0], again[1]),
    ]
    for name, seconds, memory in rows:
        print(f"{name:<44} {seconds:>8.2f} {seconds / floor[0]:>8.2f} {memory / 2**20:>6.0f} MB")
    if json.loads(by_hand) != json.loads(sums):
        sys.exit(f"the results differ: by hand {by_hand.decode()}, silver {sums.decode()}")
    print(f"current rows, billed and paid are equal: {', '.join(json.loads(sums))}")


main()
