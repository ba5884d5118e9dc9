#!/usr/bin/env bash
# Runs every check and every test. Needs Rust, Python 3 and npm; installs what else it needs into
# target/tools. With RCM_SAMPLE_DATA naming a folder of sample data, the tests on it run too.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$*"; }

tools=$PWD/target/tools
step "tools for the tests, in target/tools"
bash tests/aws/install-tools.sh tests

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

step "templates and state machines"
bash tests/static.sh

step "tests"
export PATH="$tools/tests/bin:$PATH"
if cargo nextest --version >/dev/null 2>&1; then
  sample=(); [ -z "${RCM_SAMPLE_DATA:-}" ] || sample=(--run-ignored all)
  cargo nextest run --workspace --no-fail-fast "${sample[@]}"
else
  sample=(); [ -z "${RCM_SAMPLE_DATA:-}" ] || sample=(--include-ignored)
  cargo test --workspace --no-fail-fast -- "${sample[@]}"
fi
