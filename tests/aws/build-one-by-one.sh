#!/usr/bin/env bash
# Builds functions as a deployment does: each from its own folder, with the features that it asks for
# itself, where a workspace gives every package those of all. One of them goes all the way of `sam build`,
# without optimization, since that would take half an hour.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/small-build.sh
bash tests/aws/install-tools.sh sam tests
for folder in functions/*/; do
  cargo check --quiet --package "$(basename "$folder")"
done

tools=$PWD/target/tools
export PATH=$tools/tests/bin:$tools/sam/bin:$PATH
export SAM_BUILD_MODE=debug SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1
case $(uname -m) in aarch64 | arm64) architecture=arm64 ;; *) architecture=x86_64 ;; esac
(cd infra/aws && sam build Plan --parameter-overrides "Architecture=$architecture" --build-dir "$tools/../sam")
test -x target/sam/Plan/bootstrap
# Nothing else is built for a named target, and nobody asks for this again.
rm -rf target/sam target/build.toml target/lambda target/*-unknown-linux-*
