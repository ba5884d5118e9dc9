"""Makes an earlier version of a Delta table the current one, as docs/operations.md says, and prints as JSON
what its history then has, the last commit first.

    restore.py TABLE VERSION
"""

import json
import sys

from deltalake import DeltaTable


def main(path: str, version: int) -> None:
    DeltaTable(path).restore(version)
    json.dump([commit["operation"] for commit in DeltaTable(path).history()], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
