"""Reads the log of a Delta table with Python's deltalake and prints it as JSON.

    log.py TABLE APPLICATION...
"""

import json
import sys

from deltalake import DeltaTable


def main(path: str, applications: list[str]) -> None:
    table = DeltaTable(path)
    types = {field.name: field.type.type for field in table.schema().fields if hasattr(field.type, "type")}
    answer = {
        "version": table.version(),
        "commits": len(table.history()),
        "transactions": {name: table.transaction_version(name) for name in applications},
        "partitions": {name: types[name] for name in table.metadata().partition_columns},
        "reader_features": table.protocol().reader_features or [],
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
