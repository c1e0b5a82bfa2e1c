#!/bin/sh
# Prints the path of the program `h2spec`. It is built with Go once, from the versions that go.mod and go.sum fix, and
# kept in TOLLGATE_STACK_CACHE, by default tollgate/ in the user's cache directory.
#   resolve.sh GO.MOD GO.SUM     the contents of these files
set -eu

module=$1 sums=$2
version=$(printf '%s\n' "$module" | sed -n 's/.*summerwind\/h2spec v\([0-9.]*\).*/\1/p')
cache=${TOLLGATE_STACK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tollgate}
directory=$cache/h2spec-$version-pinned

fail() {
  echo "$*" >&2
  exit 1
}

fetch() {
  command -v go >/dev/null || fail 'h2spec is built with Go, which is not installed: run `apt-get install golang-go`'
  echo "building h2spec $version with Go (once) into $directory" >&2
  mkdir -p "$directory/module"
  printf '%s\n' "$module" > "$directory/module/go.mod"
  printf '%s\n' "$sums" > "$directory/module/go.sum"
  if ! said=$(cd "$directory/module" && GOFLAGS=-mod=readonly go build -o ../h2spec.new github.com/summerwind/h2spec/cmd/h2spec 2>&1); then
    printf '%s\n' "$said" | tail -n 3 >&2
    fail "Go could not build h2spec $version; it needs a module proxy that it can reach: look at the network and at" \
      "GOPROXY, or set TOLLGATE_STACK_CACHE to a directory that has h2spec-$version-pinned already"
  fi
  mv "$directory/h2spec.new" "$directory/h2spec"
}

if [ ! -x "$directory/h2spec" ]; then
  mkdir -p "$cache"
  # One at a time: whoever waited here finds the work done.
  exec 9> "$cache/h2spec.lock"
  flock 9
  [ -x "$directory/h2spec" ] || fetch
fi
printf '%s\n' "$directory/h2spec"
