#!/usr/bin/env bash
# Installs tools of the checks and tests into target/tools, each set once and apart, since their
# dependencies exclude one another. Usage: install-tools.sh [sam|checkov|stand-ins|tests|asl-validator]…
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../.." && pwd)/target/tools
mkdir -p "$tools"

python_set() {
  local requirements=$here/requirements/$1.txt venv=$tools/$1
  cmp -s "$requirements" "$venv/installed.txt" && return
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
  cp "$requirements" "$venv/installed.txt"
}

asl_validator() {
  local version=4.0.0 prefix=$tools/npm
  grep -qs "\"version\": \"$version\"" "$prefix/node_modules/asl-validator/package.json" && return
  npm install --prefix "$prefix" --silent --no-audit --no-fund "asl-validator@$version"
}

for tool in "$@"; do
  case $tool in
    sam | checkov | stand-ins | tests) python_set "$tool" ;;
    asl-validator) asl_validator ;;
    *) echo "no such tool: $tool" >&2 && exit 2 ;;
  esac
done
