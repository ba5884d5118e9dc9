#!/usr/bin/env bash
# Measures the product beside other ways to do the same work, in the same minutes on the same machine, and prints one
# table of seconds, ratios, memory and bytes. Usage: tests/bench/run.sh [S|L|XL|report] [WORK_FOLDER]
# S has one million transactions, L ten, XL a hundred; with ROWS in the environment another number. XL is loaded in parts,
# and is about memory and disk: of it the loads, a delivery and the floor alone are measured. With RCM naming a program it is measured and nothing is built. Installs what it compares with into
# target/tools. `report` measures gold-report beside gold-kpis, for twelve hospitals with ten million transactions.
set -euo pipefail
cd "$(dirname "$0")/../.."
size=${1:-S}
script=bench.py
work=${2:-target/bench}
case $size in
  S) rows=1000000 gigabytes=4 ;;
  L) rows=10000000 gigabytes=12 ;;
  XL) rows=100000000 gigabytes=24 ;;
  report) rows=10000000 gigabytes=12 script=report.py ;;
  *) echo "usage: $0 [S|L|XL|report] [WORK_FOLDER]" >&2 && exit 2 ;;
esac
bash tests/enough-disk.sh "$gigabytes"
bash tests/aws/install-tools.sh tests
if [ -z "${RCM:-}" ]; then
  cargo build --release --bin rcm
fi
exec target/tools/tests/bin/python "tests/bench/$script" "${RCM:-target/release/rcm}" "${ROWS:-$rows}" "$work"
