"""What `bench.py` compares the product with, each a Python script of its own process."""

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

# What the current rows must add up to after a delivery: those of keys that it does not name, and its own.
AFTER = """
import json, sys
import duckdb
duckdb.sql("set enable_progress_bar = false")
table, emr = sys.argv[1:3]
incoming = " union all ".join(
    f"select TransactionID || '-{hospital}' as transaction_key, Amount, PaidAmount, ModifiedDate "
    f"from read_csv('{emr}/{hospital}/transactions.csv', all_varchar = true)"
    for hospital in ("hos-a", "hos-b")
)
print(json.dumps([str(value) for value in duckdb.sql(f'''
with incoming as (
  select transaction_key, cast(Amount as double)::decimal(18, 2) as amount,
    cast(nullif(PaidAmount, '') as double)::decimal(18, 2) as paid_amount
  from ({incoming}) qualify row_number() over (partition by transaction_key order by ModifiedDate desc) = 1),
stored as (select transaction_key, amount, paid_amount from read_parquet('{table}/**/*.parquet', hive_partitioning = false)
  where is_current)
select count(*), sum(amount), sum(coalesce(paid_amount, 0))
from (select amount, paid_amount from stored anti join incoming using (transaction_key)
  union all select amount, paid_amount from incoming)''').fetchone()]))
"""

SUMS = """
import json, sys
import duckdb
duckdb.sql("set enable_progress_bar = false")
print(json.dumps([str(value) for value in duckdb.sql(f'''
select count(*), sum(amount), sum(coalesce(paid_amount, 0)) from read_parquet({sys.argv[1:]}, hive_partitioning = false,
  union_by_name = true) where is_current''').fetchone()]))
"""

# Versions of the keys that change end, and become new ones: the usual way to keep history with a MERGE.
MERGE = """
import sys
import duckdb
from deltalake import DeltaTable
table, emr = sys.argv[1:3]
stored = DeltaTable(table)
current = stored.to_pyarrow_dataset()
incoming = " union all ".join(
    f"select *, '{hospital}' as datasource, TransactionID || '-{hospital}' as transaction_key "
    f"from read_csv('{emr}/{hospital}/transactions.csv', all_varchar = true)"
    for hospital in ("hos-a", "hos-b")
)
con = duckdb.connect()
con.execute("set TimeZone = 'UTC'")
staged = con.execute(f'''
with incoming as (
  select transaction_key, datasource, cast(Amount as double)::decimal(18, 2) as amount,
    cast(nullif(PaidAmount, '') as double)::decimal(18, 2) as paid_amount, try_cast(PaidDate as date) as paid_date,
    try_cast(ServiceDate as date) as service_date, ProcedureCode as procedure_code, ICDCode as icd_code,
    cast(ModifiedDate as timestamp)::timestamptz as modified
  from ({incoming}) qualify row_number() over (partition by transaction_key order by ModifiedDate desc) = 1),
known as (select transaction_key, amount, paid_amount, paid_date from current where is_current),
compared as (select i.*, k.transaction_key is not null as is_known,
    (k.amount, coalesce(k.paid_amount, 0), coalesce(k.paid_date, date '1900-01-01'))
      is distinct from (i.amount, coalesce(i.paid_amount, 0), coalesce(i.paid_date, date '1900-01-01')) as differs
  from incoming i left join known k using (transaction_key)),
wanted as (select * from compared where not is_known or differs)
select *, transaction_key as merge_key from wanted where is_known
union all select *, null as merge_key from wanted
''').to_arrow_table()
merge = stored.merge(staged, "t.transaction_key = s.merge_key and t.is_current", source_alias="s", target_alias="t")
merge = merge.when_matched_update({"is_current": "false", "effective_to": "s.modified"})
columns = ["transaction_key", "datasource", "amount", "paid_amount", "paid_date", "service_date", "procedure_code", "icd_code"]
values = {column: f"s.{column}" for column in columns}
values |= {"is_current": "true", "is_deleted": "false", "effective_from": "s.modified", "src_modified_at": "s.modified",
           "bucket": "0"}
merge.when_not_matched_insert(values).execute()
"""
