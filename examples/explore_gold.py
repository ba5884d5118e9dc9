"""Looks at the gold layer of a lake from Python. Run it, or go through it cell by cell in an editor that knows `# %%`.

    pip install deltalake pyarrow duckdb
    python explore_gold.py LAKE

A lake on S3 is read as well: s3://bucket/prefix, with the credentials of the environment.
"""

# %% Gold tables as DuckDB sees them
import sys

import duckdb
from deltalake import DeltaTable

lake = sys.argv[1] if len(sys.argv) > 1 else "rcm-demo/lake"
TABLES = ["kpi_ar_aging", "kpi_days_in_ar", "fact_claims", "fact_transactions", "dim_department"]
connection = duckdb.connect()
for name in TABLES:
    connection.register(name, DeltaTable(f"{lake}/gold/{name}").to_pyarrow_table())


def show(title: str, query: str) -> None:
    """Prints the rows of a query, tabs between their columns."""
    result = connection.sql(query)
    print(f"\n{title}\n" + "\t".join(result.columns))
    for row in result.fetchall():
        print("\t".join("" if value is None else str(value) for value in row))


# %% A KPI of the lake: its rows are of a date, `as_of`; the last one is that of the last run
show(
    "Ageing of the balance",
    """
    select datasource, age_bucket, sum(balance) as balance
    from kpi_ar_aging
    where as_of = (select max(as_of) from kpi_ar_aging)
    group by all order by datasource, min(age_from)
    """,
)

# %% The same by year of service, from the fact: a question that no KPI answers
show(
    "Charges by year of service",
    """
    select datasource, year(service_date) as year, count(*) as charges, sum(amount) as amount
    from fact_transactions group by all order by all
    """,
)

# %% A dimension has every version of a key; facts carry the surrogate key of the version of their day
show(
    "Charges by department",
    """
    select d.name, count(*) as charges, sum(t.amount) as amount
    from fact_transactions t join dim_department d on d.dept_sk = t.dept_sk
    group by all order by amount desc limit 5
    """,
)

# %% How long hospitals take from a service to its claim: what custom_kpi.rs computes
show(
    "Claim lag",
    """
    select datasource, count(*) as claims, round(avg(claim_date - service_date), 2) as mean_lag_days,
        round(avg((claim_date - service_date <= 7)::int), 4) as prompt_share
    from fact_claims where claim_date - service_date is not null
    group by all order by datasource
    """,
)
