#!/usr/bin/env bash
# Installs tools of the checks and tests into target/tools, each set once and apart, since their
# dependencies exclude one another. Usage: install-tools.sh [sam|checkov|stand-ins|tests|asl-validator|postgres|java|chromium|axe]…
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

# Sets `options`, with which apt-get and apt-cache keep their lists and caches below a folder, and fetches the lists.
# Fails with a hint where there is no apt-get.
debian_lists() {
  local prefix=$1 what=$2 hint=$3
  if ! command -v apt-get >/dev/null; then
    echo "$what: this is no Debian; $hint" >&2
    exit 1
  fi
  rm -rf "$prefix"
  mkdir -p "$prefix/lists/partial" "$prefix/cache/archives/partial" "$prefix/packages"
  options=(-qq -o "Dir::State::Lists=$prefix/lists" -o "Dir::Cache=$prefix/cache" -o APT::Sandbox::User=)
  apt-get "${options[@]}" update
}

# Downloads packages of Debian and unpacks them below a folder.
debian_unpacked() {
  local prefix=$1 package
  shift
  (cd "$prefix/packages" && apt-get "${options[@]}" download "$@")
  for package in "$prefix"/packages/*.deb; do
    dpkg-deb --extract "$package" "$prefix"
  done
  rm -rf "$prefix/lists" "$prefix/cache" "$prefix/packages"
}

# The package of a version, such as `postgresql-15`, on which a package without one depends.
debian_version_of() {
  apt-cache "${options[@]}" depends "$1" | sed -n "s/^ *Depends: \($2\)\$/\1/p"
}

# The server of Debian's packages, unpacked, with the libraries that this machine lacks but for those of its compiler,
# which the tests switch off. A server that is installed will do.
postgres() {
  local prefix=$tools/postgres options
  compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && return
  compgen -G "$prefix/usr/lib/postgresql/*/bin/initdb" >/dev/null && return
  debian_lists "$prefix" PostgreSQL "install its server, and link its folder to $prefix/usr/lib/postgresql/<version>"
  local server wanted=() package
  server=$(debian_version_of postgresql 'postgresql-[0-9]*')
  while read -r package; do
    dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
  done < <(apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances --no-pre-depends "$server" | grep -E '^lib[a-z0-9.+-]+$' | grep -v '^libllvm' | sort -u)
  debian_unpacked "$prefix" "$server" "${wanted[@]}"
}

# The runtime that Spark needs: Debian's package, unpacked. A `java` of version 17 or later that is installed will do.
java() {
  local prefix=$tools/java options version
  version=$({ command java -version 2>&1 || true; } | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  ((${version:-0} >= 17)) && return
  compgen -G "$prefix/usr/lib/jvm/*/bin/java" >/dev/null && return
  debian_lists "$prefix" Java "install a runtime of version 17 or later"
  debian_unpacked "$prefix" "$(debian_version_of default-jre-headless 'openjdk-[0-9]*-jre-headless')"
  # Its settings are links to /etc, where nothing was unpacked.
  local link
  while read -r link; do
    ln -sfn "$prefix$(readlink "$link")" "$link"
  done < <(find "$prefix/usr/lib/jvm" -type l -lname '/etc/java-*')
}

# The browser that the tests look at the report with: Debian's packages, unpacked, with the libraries that this machine
# lacks. One that is installed will do.
chromium() {
  local prefix=$tools/chromium options wanted=() package
  type -P chromium >/dev/null && return
  [ -x "$prefix/usr/lib/chromium/chromium" ] && return
  debian_lists "$prefix" Chromium "install Chromium"
  while read -r package; do
    dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
  done < <(apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances --no-pre-depends chromium | grep -E '^(lib[a-z0-9.+-]+|chromium-common)$' | grep -v '^libllvm' | sort -u)
  debian_unpacked "$prefix" chromium "${wanted[@]}"
}

# What looks for marks of a page that readers of screens cannot use.
axe() {
  local version=4.14.1 prefix=$tools/npm
  grep -qs "\"version\": \"$version\"" "$prefix/node_modules/axe-core/package.json" && return
  npm install --prefix "$prefix" --silent --no-audit --no-fund "axe-core@$version"
}

for tool in "$@"; do
  case $tool in
    sam | checkov | stand-ins | tests) python_set "$tool" ;;
    asl-validator | postgres | java | chromium | axe) "${tool//-/_}" ;;
    *) echo "no such tool: $tool" >&2 && exit 2 ;;
  esac
done
