#!/usr/bin/env bash
# Removes the programs that cargo has linked, but for rcm: with Polars in it, each has 300 MB. What they are
# linked from stays.
set -euo pipefail
cd "$(dirname "$0")/.."
find target -maxdepth 3 -path 'target/debug/*' -type f -perm -u+x -size +40M ! -name '*.so' ! -name 'rcm*' -delete
rm -rf target/aws
