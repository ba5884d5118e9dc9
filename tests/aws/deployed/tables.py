"""Delta tables in a folder, read with another reader."""

from datetime import datetime, timezone
from pathlib import Path

from deltalake import DeltaTable

# Columns with the run or load of a row.
OF_A_RUN = {"load_id", "inserted_at", "updated_at"}


def names(folder: Path) -> list[str]:
    """The Delta tables directly below a folder."""
    return sorted(log.parent.name for log in folder.glob("*/_delta_log"))


def rows(table: Path) -> list[dict]:
    return DeltaTable(table).to_pyarrow_table().to_pylist() if table.exists() else []


def comparable(gold: Path, since: datetime) -> dict[str, list[str]]:
    """Every gold table as sorted lines that do not tell two runs apart.

    Moments after `since` are those of a run, and so are the surrogate keys of versions that begin then: a
    surrogate key stands for the durable key that it belongs to.
    """
    tables = {name: rows(gold / name) for name in names(gold)}
    durable = {}
    for name, dimension in tables.items():
        if name.startswith("dim_") and dimension:
            surrogate, key = list(dimension[0])[:2]
            durable |= {(surrogate, row[surrogate]): str(row[key]) for row in dimension}

    def said(column: str, value) -> str:
        if column.endswith("_sk") and (column, value) in durable:
            return durable[column, value]
        if isinstance(value, datetime) and value.tzinfo and value >= since:
            return "of the run"
        return str(value)

    return {
        name: sorted(
            "|".join(f"{column}={said(column, row[column])}" for column in sorted(row) if column not in OF_A_RUN)
            for row in table
        )
        for name, table in tables.items()
    }


def now() -> datetime:
    return datetime.now(timezone.utc)

