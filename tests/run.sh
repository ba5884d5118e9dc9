#!/usr/bin/env bash
# Runs every check and every test. Needs Rust, Python 3 and npm; installs what else it needs into
# target/tools. With RCM_SAMPLE_DATA naming a folder of sample data, the tests on it run too.
set -euo pipefail
if [ -n "${RCM_SAMPLE_DATA:-}" ]; then
  RCM_SAMPLE_DATA=$(cd "$RCM_SAMPLE_DATA" && pwd)
fi
cd "$(dirname "$0")/.."
# What is built is looked for in target/debug, no request to this machine goes through a proxy, none to an
# account, and a snapshot that differs is a failure.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET AWS_PROFILE
export NO_PROXY=127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY} no_proxy=127.0.0.1,localhost${no_proxy:+,$no_proxy}
export INSTA_UPDATE=no
step() { printf '\n== %s (%d s since the start)\n' "$*" "$SECONDS"; }

step "format"
cargo fmt --all --check

step "tools for the tests, in target/tools"
bash tests/aws/install-tools.sh tests stand-ins

step "templates and state machines"
bash tests/static.sh

step "lints"
cargo clippy --workspace --all-targets -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

step "tests"
[ -n "${RCM_SAMPLE_DATA:-}" ] || echo "The tests on sample data are left out: RCM_SAMPLE_DATA names no folder."
if cargo nextest --version >/dev/null 2>&1; then
  set -- ${RCM_SAMPLE_DATA:+--run-ignored all}
  cargo nextest run --workspace --profile ci "$@"
else
  echo "cargo-nextest is not installed: cargo test runs the tests, and ends none that hangs."
  set -- ${RCM_SAMPLE_DATA:+--include-ignored}
  cargo test --workspace --no-fail-fast -- "$@"
fi

step "functions, as they are deployed"
bash tests/aws/build-functions.sh

step "functions, one by one, as SAM builds them"
bash tests/aws/build-one-by-one.sh

step "tests of the deployed lakehouse"
PYTHONDONTWRITEBYTECODE=1 target/tools/tests/bin/python -m pytest -p no:cacheprovider --durations=0 tests/aws/deployed
