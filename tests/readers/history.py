"""Reads a silver table with history with one engine, and prints what some predicates find as JSON.

    history.py ENGINE|shape TABLE KEY MOMENT

For every predicate: how many versions of claims it finds, and the sum of their amounts. Each engine skips files, row groups and
pages by their statistics, as it does unless it is told otherwise.
"""

import json
import os
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

AMOUNT, KEY = "claim_amount", "claim_key"
TOOLS = Path(__file__).parents[2] / "target/tools"


def predicates(key: str, moment: str) -> dict[str, str]:
    """Predicates as SQL that every engine reads; `moment` is a time in UTC."""
    moment = f"timestamp '{moment}+00:00'"
    return {
        "all": "true",
        "open": "effective_to is null",
        "closed": "effective_to is not null",
        "current": "is_current",
        "ended then": f"effective_to = {moment}",
        "ended later": f"effective_to > {moment}",
        "ended before": f"effective_to < {moment}",
        "started then": f"effective_from = {moment}",
        "of the key": f"{KEY} = '{key}'",
        "open of the key": f"{KEY} = '{key}' and effective_to is null",
    }


def files(table: Path) -> list[str]:
    from deltalake import DeltaTable

    return [uri.removeprefix("file://") for uri in DeltaTable(table).file_uris()]


def selects(ask, source: str, asked: dict[str, str]) -> dict:
    """What a function that carries SQL out finds: the rows of a statement, a list of tuples."""
    return {
        name: ask(f"select count(*), sum({AMOUNT}) from {source} where {predicate}")[0]
        for name, predicate in asked.items()
    }


def with_duckdb(table: Path, asked: dict[str, str]) -> dict:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    source = f"read_parquet({files(table)}, hive_partitioning = false)"
    ask = lambda statement: connection.execute(statement.replace("timestamp '", "timestamptz '")).fetchall()
    return selects(ask, source, asked)


def with_query_builder(table: Path, asked: dict[str, str]) -> dict:
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder

    builder = QueryBuilder().register("silver", DeltaTable(table))

    def ask(statement: str) -> list[tuple]:
        found = pa.table(builder.execute(statement).read_all())
        return [tuple(row.values()) for row in found.to_pylist()]

    return selects(ask, "silver", asked)


def with_spark(table: Path, asked: dict[str, str], vectorized: bool) -> dict:
    """Counts of whole columns come from the footers, since aggregates are pushed down too."""
    installed = sorted(TOOLS.glob("java/usr/lib/jvm/*/bin/java"))
    if installed:
        os.environ["JAVA_HOME"] = str(installed[0].parents[1])
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.sources.useV1SourceList": "",
        "spark.sql.parquet.filterPushdown": "true",
        "spark.sql.parquet.aggregatePushdown": "true",
        "spark.sql.parquet.enableVectorizedReader": str(vectorized).lower(),
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.read.parquet(*files(table)).createOrReplaceTempView("silver")
    ask = lambda statement: [tuple(row) for row in session.sql(statement).collect()]
    found = selects(ask, "silver", asked)
    counted = ask("select count(*), count(effective_to), count(effective_from) from silver")[0]
    assert counted == (found["all"][0], found["closed"][0], found["all"][0]), f"the footers say {counted}: {found}"
    session.stop()
    return found


def with_polars(table: Path, asked: dict[str, str]) -> dict:
    import polars

    rows = polars.scan_delta(str(table))
    answers = {}
    for name, expression in as_expressions(asked, polars.col, polars.lit).items():
        found = rows.filter(expression).select(polars.len(), polars.col(AMOUNT).sum()).collect()
        answers[name] = found.row(0)
    return answers


def with_dataset(dataset, asked: dict[str, str]) -> dict:
    import pyarrow as pa
    import pyarrow.compute as pc

    is_decimal = pa.decimal128(38, 2)
    answers = {}
    for name, expression in as_expressions(asked, pc.field, pc.scalar).items():
        amounts = dataset.to_table(columns=[AMOUNT], filter=expression, use_threads=False).column(AMOUNT)
        assert dataset.count_rows(filter=expression, use_threads=False) == len(amounts), name
        answers[name] = (len(amounts), pc.sum(amounts.cast(is_decimal)).as_py())
    return answers


def as_expressions(asked: dict[str, str], column, literal) -> dict:
    """The same predicates for a reader that takes expressions: of columns and literals."""
    key = asked["of the key"].split("'")[1]
    moment = datetime.fromisoformat(asked["ended then"].split("'")[1])
    end, start = column("effective_to"), column("effective_from")
    is_key = column(KEY) == literal(key)
    return {
        "all": literal(True),
        "open": end.is_null(),
        "closed": ~end.is_null(),
        "current": column("is_current"),
        "ended then": end == literal(moment),
        "ended later": end > literal(moment),
        "ended before": end < literal(moment),
        "started then": start == literal(moment),
        "of the key": is_key,
        "open of the key": is_key & end.is_null(),
    }


def with_deltalake(table: Path, asked: dict[str, str]) -> dict:
    from deltalake import DeltaTable

    return with_dataset(DeltaTable(table).to_pyarrow_dataset(), asked)


def with_pyarrow(table: Path, asked: dict[str, str]) -> dict:
    from pyarrow.dataset import dataset

    return with_dataset(dataset(files(table), format="parquet"), asked)


ENGINES = {
    "duckdb": with_duckdb,
    "polars": with_polars,
    "pyarrow": with_pyarrow,
    "deltalake": with_deltalake,
    "query-builder": with_query_builder,
    "spark": lambda table, asked: with_spark(table, asked, vectorized=True),
    "spark-by-row": lambda table, asked: with_spark(table, asked, vectorized=False),
}


def shape(table: Path) -> dict[str, int]:
    """How the table lies on the disk."""
    from pyarrow.parquet import ParquetFile

    groups = [ParquetFile(file).num_row_groups for file in files(table)]
    return {"files": len(groups), "row_groups": sum(groups), "row_groups_of_a_file": max(groups)}


def main(engine: str, table: str, key: str, moment: str) -> None:
    if engine == "shape":
        json.dump(shape(Path(table)), sys.stdout)
        return
    found = ENGINES[engine](Path(table), predicates(key, moment))
    told = {name: [count, str(Decimal(amount or 0).quantize(Decimal("0.01")))] for name, (count, amount) in found.items()}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
