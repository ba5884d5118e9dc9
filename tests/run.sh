#!/usr/bin/env bash
# Runs every check and every test. Needs Rust, Python 3, npm and 20 GB of disk, and where there is no apt-get
# PostgreSQL's server, a Java runtime and Chromium; installs what else it needs into target/tools, and writes nothing outside
# target/. With RCM_SAMPLE_DATA naming a folder of sample data, the tests on it run too.
set -euo pipefail
if [ -n "${RCM_SAMPLE_DATA:-}" ]; then
  RCM_SAMPLE_DATA=$(cd "$RCM_SAMPLE_DATA" && pwd)
fi
cd "$(dirname "$0")/.."
bash tests/enough-disk.sh 20
# What is built is looked for in target/debug, no request to this machine goes through a proxy, none to an
# account, and a snapshot that differs is a failure.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET AWS_PROFILE
export NO_PROXY=127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY} no_proxy=127.0.0.1,localhost${no_proxy:+,$no_proxy}
export INSTA_UPDATE=no
source tests/small-build.sh
# Temporary files lie in target/ too. A socket's path has at most 107 bytes, of which a program appends up to 40.
temporary=$PWD/target/tmp/t
rm -rf "$temporary" target/tmp/pytest target/tmp/pytest-report
mkdir -p "$temporary"
if ((${#temporary} <= 67)); then
  export TMPDIR=$temporary
else
  echo "The path of target/tmp is too long for sockets: temporary files go to ${TMPDIR:-/tmp}."
fi
step() { printf '\n== %s (%d s since the start)\n' "$*" "$SECONDS"; }

step "format"
cargo fmt --all --check

step "tools for the tests, in target/tools"
bash tests/aws/install-tools.sh tests stand-ins postgres java chromium axe

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
bash tests/remove-programs.sh

step "functions, one by one, as SAM builds them"
bash tests/aws/build-one-by-one.sh

step "functions, as they are deployed"
bash tests/aws/build-functions.sh

step "the report in a browser"
cargo build --bin rcm
PYTHONDONTWRITEBYTECODE=1 target/tools/tests/bin/python -m pytest -p no:cacheprovider --durations=5 \
  --basetemp="$PWD/target/tmp/pytest-report" tests/report

step "tests of the deployed lakehouse"
PYTHONDONTWRITEBYTECODE=1 target/tools/tests/bin/python -m pytest -p no:cacheprovider --durations=0 \
  --basetemp="$PWD/target/tmp/pytest" tests/aws/deployed

# What is left after a failure is for looking at; after this, nobody does.
rm -rf "$temporary" target/tmp/pytest target/tmp/pytest-report
bash tests/remove-programs.sh
step "done; target/ holds $(du -sh target | cut -f1)"
