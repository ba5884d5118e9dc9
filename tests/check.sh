#!/usr/bin/env bash
# What to run before a commit, under five minutes after a warm build: format, generated files, lints, the tests
# of all packages but those of the whole pipeline, and of those what compares the two pipelines.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/small-build.sh
export INSTA_UPDATE=no
bash tests/aws/install-tools.sh postgres
cargo fmt --all --check
cargo xtask generate --check
cargo clippy --workspace --all-targets -- -D warnings
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace -E 'not package(end-to-end-tests) or test(/^(parity|resources)::/)'
else
  cargo test --workspace --exclude end-to-end-tests
  cargo test --package end-to-end-tests parity::
  cargo test --package end-to-end-tests resources::
fi
