#!/usr/bin/env bash
# Builds every function for the machine that it runs on, without debug information, as
# target/aws/<function>/bootstrap: what a deployment to a stand-in of AWS takes.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/small-build.sh
cargo build --workspace --bins
for folder in functions/*/; do
  function=$(basename "$folder")
  mkdir -p "target/aws/$function"
  ln -f "target/debug/$function" "target/aws/$function/bootstrap"
done
