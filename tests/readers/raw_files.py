"""Computes with DuckDB, from the raw CSV files only, the expected content of the lake, and prints it as JSON.

    raw_files.py AS_OF DELIVERY...

A delivery is a folder with `emr/<datasource>/<table>.csv` and `landing/{claims,cptcodes}/*.csv`; the
oldest comes first. The answer has the names of the lake: table, then `rows`, `current` or a money column,
whose sum it is.
"""

import json
import sys
from pathlib import Path

import duckdb

CLAIMS_OF = {"hospital1_": "hos-a", "hospital2_": "hos-b"}
DAY = "coalesce(try_strptime({0}, '%Y-%m-%d'), try_strptime({0}, '%m/%d/%Y'), try_cast({0} AS timestamp))"
MONEY = "try_cast({0} AS decimal(18,2))"
PHONE_DIGITS = "length(regexp_replace(PhoneNumber, '[^0-9]', '', 'g'))"

# Per entity: its id, its modified time, and which rows are good.
ENTITIES = {
    "patients": (
        "coalesce(PatientID, ID)",
        DAY.format("coalesce(ModifiedDate, Updated_Date)"),
        f"""upper(coalesce(FirstName, F_Name, 'NULL')) <> 'NULL' AND {DAY.format('DOB')} IS NOT NULL
            AND {PHONE_DIGITS} >= 7 AND NOT starts_with(PhoneNumber, '-')""",
    ),
    "providers": ("ProviderID", None, "DeptID IS NOT NULL"),
    "departments": ("DeptID", None, "Name IS NOT NULL"),
    "encounters": ("EncounterID", DAY.format("ModifiedDate"), "PatientID IS NOT NULL"),
    "transactions": (
        "TransactionID",
        DAY.format("ModifiedDate"),
        f"""EncounterID IS NOT NULL AND PatientID IS NOT NULL AND {DAY.format('VisitDate')} IS NOT NULL
            AND {MONEY.format('Amount')} IS NOT NULL""",
    ),
    "claims": (
        "ClaimID",
        DAY.format("ModifiedDate"),
        f"""TransactionID IS NOT NULL AND PatientID IS NOT NULL AND {DAY.format('ServiceDate')} IS NOT NULL
            AND {MONEY.format('ClaimAmount')} IS NOT NULL""",
    ),
    "cpt_codes": ('"CPT Codes"', None, '"Procedure Code Descriptions" IS NOT NULL'),
}
# Tables that every delivery has in full: the keys of the last delivery are not deleted.
FULL = {"providers", "departments"}


def readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes().decode())
    except UnicodeDecodeError:
        return False


def files_of(entity: str, deliveries: list[Path]) -> list[Path]:
    """The files of an entity, without those of unknown hospitals and without copies."""
    if entity == "claims":
        named = [p for d in deliveries for prefix in CLAIMS_OF for p in d.glob(f"landing/claims/{prefix}*.csv")]
        return sorted({path.read_bytes(): path for path in sorted(named, reverse=True) if readable(path)}.values())
    if entity == "cpt_codes":
        return sorted(path for d in deliveries for path in d.glob("landing/cptcodes/*.csv"))
    taken = deliveries[-1:] if entity in FULL else deliveries
    return sorted(path for d in taken for path in d.glob(f"emr/*/{entity}.csv"))


def load(connection: duckdb.DuckDBPyConnection, entity: str, deliveries: list[Path]) -> dict:
    """Makes a view of the entity's rows as they are now, and counts them."""
    source_id, modified, good = ENTITIES[entity]
    datasource = "coalesce(nullif(regexp_extract(filename, 'emr/([^/]+)/', 1), ''), CASE " + " ".join(
        f"WHEN contains(filename, '/claims/{prefix}') THEN '{name}'" for prefix, name in CLAIMS_OF.items()
    ) + " END)"
    good = f"{source_id} IS NOT NULL AND {modified or 'now()'} IS NOT NULL AND {good}"
    files = " UNION ALL BY NAME ".join(
        f"""SELECT * FROM read_csv('{path}', header = true, all_varchar = true, filename = true,
                                   store_rejects = true, rejects_scan = '{entity}_scans', rejects_table = '{entity}_broken')"""
        for path in files_of(entity, deliveries)
    )
    connection.execute(
        f"""CREATE TABLE {entity}_rows AS
            SELECT *, {source_id} AS key, {modified or 'NULL'} AS modified, {datasource} AS datasource,
                   coalesce({good}, false) AS good
            FROM ({files})"""
    )
    connection.execute(
        f"""CREATE VIEW {entity} AS SELECT DISTINCT ON (datasource, key) * FROM {entity}_rows WHERE good
            ORDER BY datasource, key, modified DESC, filename DESC"""
    )
    count = lambda query: connection.execute(query).fetchone()[0]
    bad = f"SELECT DISTINCT * EXCLUDE (filename) FROM {entity}_rows WHERE NOT good"
    broken = f"SELECT DISTINCT csv_line FROM {entity}_broken"
    return {
        f"silver/{entity}": {"current": count(f"SELECT count(*) FROM {entity}")},
        f"quarantine/{entity}": {"rows": count(f"SELECT count(*) FROM ({bad})") + count(f"SELECT count(*) FROM ({broken})")},
    }


def receivables(connection: duckdb.DuckDBPyConnection, as_of: str) -> dict:
    """The facts and the KPIs, to the cent."""
    connection.execute(
        f"""CREATE VIEW facts AS
            SELECT {MONEY.format('Amount')} AS billed, {MONEY.format('PaidAmount')} AS paid,
                   {DAY.format('ServiceDate')}::date AS served, {DAY.format('PaidDate')}::date AS paid_on,
                   DATE '{as_of}' - served AS age,
                   greatest(billed - CASE WHEN paid_on <= DATE '{as_of}' THEN paid ELSE 0 END, 0) AS balance
            FROM transactions"""
    )

    def sums(table: str, **measures: str) -> dict:
        columns = ", ".join(f"coalesce(sum({measure}), 0)::decimal(18,2)::text" for measure in measures.values())
        counted, *values = connection.execute(f"SELECT count(*), {columns} FROM {table}").fetchone()
        return {"rows": counted, **dict(zip(measures, values))}

    aged = sums("facts WHERE age >= 0", balance="balance")
    period = sums("facts WHERE age BETWEEN 0 AND 89", amount_in_period="billed")
    old = sums("facts WHERE age > 90", balance_over_90_days="balance")
    claim = {name: MONEY.format(column) for name, column in {"claim_amount": "ClaimAmount", "paid_amount": "PaidAmount"}.items()}
    return {
        "gold/fact_transactions": sums("facts", amount="billed", paid_amount="paid"),
        "gold/fact_claims": sums("claims", **claim),
        "gold/fact_encounters": {"rows": connection.execute("SELECT count(*) FROM encounters").fetchone()[0]},
        "gold/kpi_ar_aging": {"balance": aged["balance"]},
        "gold/kpi_days_in_ar": {
            "balance": aged["balance"],
            "amount_in_period": period["amount_in_period"],
            "balance_over_90_days": old["balance_over_90_days"],
        },
    }


def main(as_of: str, deliveries: list[Path]) -> None:
    connection = duckdb.connect()
    figures = {}
    for entity in ENTITIES:
        figures |= load(connection, entity, deliveries)
    json.dump(figures | receivables(connection, as_of), sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1], [Path(folder) for folder in sys.argv[2:]])
