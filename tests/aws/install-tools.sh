#!/usr/bin/env bash
# Installs tools of the checks and tests into target/tools, each set once and apart, since their
# dependencies exclude one another. Usage: install-tools.sh [sam|checkov|stand-ins|tests|asl-validator]…
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../.." && pwd)/target/tools
mkdir -p "$tools"
# Of two that install at once the second waits and finds all done.
if command -v flock >/dev/null; then
  exec 9>"$tools/.lock"
  flock 9
fi

python_set() {
  local requirements=$here/requirements/$1.txt venv=$tools/$1 wanted
  # A set is of no use in another place or to another Python.
  wanted=$(echo "$venv"; python3 -V; cat "$requirements")
  [ "$(cat "$venv/installed.txt" 2>/dev/null)" = "$wanted" ] && return
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
  echo "$wanted" >"$venv/installed.txt"
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
