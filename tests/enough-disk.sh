#!/usr/bin/env bash
# Ends with an error if fewer than so many GB are free on the disk of target/. What target/ holds counts as free:
# a run writes it again. Usage: enough-disk.sh GB
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
free=$(df -Pk target | awk 'NR == 2 {print $4}')
# Of what goes away while it is counted, du complains.
held=$({ du -sk target 2>/dev/null || true; } | cut -f1)
if ((free + held < $1 * 1000 * 1000)); then
  echo "error: the tests need $1 GB of disk; $((free / 1000 / 1000)) GB are free here, and target/ holds $((held / 1000 / 1000)) GB" >&2
  echo "hint: make room, or put the workspace on a larger disk; everything that the tests write is in target/" >&2
  exit 1
fi
