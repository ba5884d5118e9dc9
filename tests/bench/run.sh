#!/usr/bin/env bash
# Measures silver and gold beside other ways to do the same work, in the same minutes on the same machine, and prints
# ratios. Usage: tests/bench/run.sh [S|L|XL] [WORK_FOLDER]
# S has one million transactions, L ten, XL a hundred. Installs what it compares with into target/tools.
set -euo pipefail
cd "$(dirname "$0")/../.."
size=${1:-S}
work=${2:-target/bench}
case $size in
  S) rows=1000000 gigabytes=4 ;;
  L) rows=10000000 gigabytes=24 ;;
  XL) rows=100000000 gigabytes=200 ;;
  *) echo "usage: $0 [S|L|XL] [WORK_FOLDER]" >&2 && exit 2 ;;
esac
bash tests/enough-disk.sh "$gigabytes"
bash tests/aws/install-tools.sh tests
cargo build --release --bin rcm
exec target/tools/tests/bin/python tests/bench/bench.py target/release/rcm "$rows" "$work"
