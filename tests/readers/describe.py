"""Reads every Delta table of a lake with another reader, and prints a description of each as JSON.

    describe.py deltalake|polars|duckdb LAKE

For every table: its rows, and for every column its type, how many values it has, and the least and the
greatest of them, or their sum for money. Texts are counted and not shown. Of a KPI with an `as_of` it takes
the rows of the last date.
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

LAYERS = ["silver", "quarantine", "gold", "audit"]


def tables(lake: Path) -> list[str]:
    """Paths of the Delta tables below the lake's root."""
    logs = (log for layer in LAYERS for log in (lake / layer).glob("*/_delta_log"))
    return sorted(str(log.parent.relative_to(lake)) for log in logs)


def with_deltalake(path: Path) -> pa.Table:
    from deltalake import DeltaTable

    return DeltaTable(path).to_pyarrow_table()


def with_polars(path: Path) -> pa.Table:
    import polars

    return polars.scan_delta(str(path)).collect().to_arrow()


def with_duckdb(path: Path) -> pa.Table:
    import duckdb
    import duckdb_extension_delta

    extensions = Path(duckdb_extension_delta.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.load_extension(str(extensions / "delta.duckdb_extension"))
    return connection.execute("SELECT * FROM delta_scan(?)", [str(path)]).to_arrow_table()


READERS = {"deltalake": with_deltalake, "polars": with_polars, "duckdb": with_duckdb}


def kind(data_type: pa.DataType) -> str:
    """The type, with one name for Arrow types of the same meaning."""
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type):
        return f"list<{kind(data_type.value_type)}>"
    if pa.types.is_struct(data_type):
        return f"struct<{', '.join(f'{field.name}: {kind(field.type)}' for field in data_type)}>"
    if pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type):
        return "string"
    if pa.types.is_timestamp(data_type):
        zone = {"Etc/UTC": "UTC"}.get(data_type.tz, data_type.tz)
        return f"timestamp[{data_type.unit}, {zone}]"
    return str(data_type)


def described(column: pa.ChunkedArray) -> dict:
    """A description of a column that shows no text of it."""
    said = {"type": kind(column.type), "values": len(column) - column.null_count}
    if pa.types.is_decimal(column.type):
        said["sum"] = str(pc.sum(column).as_py())
    elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        said["items"] = len(pc.list_flatten(column))
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        said["distinct"], said["length"] = len(pc.unique(column.drop_null())), pc.sum(pc.utf8_length(column)).as_py()
    elif pa.types.is_boolean(column.type):
        said["true"] = pc.sum(column).as_py()
    elif not pa.types.is_floating(column.type):
        ends = pc.min_max(column)
        said["least"], said["greatest"] = str(ends["min"].as_py()), str(ends["max"].as_py())
    return said


def filters_find_what_is_there(path: Path, table: pa.Table) -> None:
    """A reader that skips files by their statistics finds the rows of every datasource."""
    from deltalake import DeltaTable

    dataset = DeltaTable(path).to_pyarrow_dataset()
    for counted in pc.value_counts(table.column("datasource").drop_null()).to_pylist():
        found = dataset.count_rows(filter=pc.field("datasource") == counted["values"], use_threads=False)
        assert found == counted["counts"], f"{path.name}: {counted} and {found} rows found"


def main(reader: str, lake: Path) -> None:
    answer = {}
    for path in tables(lake):
        table = READERS[reader](lake / path)
        if reader == "deltalake" and "datasource" in table.column_names:
            filters_find_what_is_there(lake / path, table)
        if "as_of" in table.column_names:
            as_of = table.column("as_of")
            table = table.filter(pc.equal(as_of, pc.max(as_of)))
        columns = {name: described(table.column(name)) for name in sorted(table.column_names)}
        answer[path] = {"rows": table.num_rows, "columns": columns}
    json.dump(answer, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())
