#!/bin/sh
# Prints the path of the program `h2spec` of a version, as Go's module proxy names it. It is built with Go once and kept
# in TOLLGATE_STACK_CACHE, by default tollgate/ in the user's cache directory.
#   resolve.sh v2.2.1+incompatible
set -eu

version=$1
cache=${TOLLGATE_STACK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tollgate}
directory=$cache/h2spec-$version

fail() {
  echo "$*" >&2
  exit 1
}

fetch() {
  command -v go >/dev/null || fail 'h2spec is built with Go, which is not installed: run `apt-get install golang-go`'
  echo "building h2spec $version with Go (once) into $directory" >&2
  # It has no module file of its own, so that Go takes the newest versions of what it needs.
  if ! said=$(GOBIN="$directory" GOFLAGS=-mod=mod go install "github.com/summerwind/h2spec/cmd/h2spec@$version" 2>&1); then
    printf '%s\n' "$said" | tail -n 3 >&2
    fail "Go could not build h2spec $version; it needs a module proxy that it can reach: look at the network and at" \
      "GOPROXY, or set TOLLGATE_STACK_CACHE to a directory that has h2spec-$version already"
  fi
}

if [ ! -x "$directory/h2spec" ]; then
  mkdir -p "$cache"
  # One at a time: whoever waited here finds the work done.
  exec 9> "$cache/h2spec.lock"
  flock 9
  [ -x "$directory/h2spec" ] || fetch
fi
printf '%s\n' "$directory/h2spec"
