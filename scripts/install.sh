#!/usr/bin/env bash
# Installs what a step needs and the machine lacks, by package name, and says so. Nothing is said or done otherwise.
#   scripts/install.sh build|test|lint|loadtest ...
set -euo pipefail

rust_needed=1.95

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

debian() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "install: this machine has no apt-get; please install these Debian packages' equivalents: ${missing[*]}" >&2
    exit 1
  fi
  echo "install: Debian packages ${missing[*]}" >&2
  as_root apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

rust() {
  if ! command -v cargo >/dev/null; then
    echo "install: Rust $rust_needed or newer is needed; install it with rustup, then run this again" >&2
    exit 1
  fi
  local found
  found=$(rustc --version | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$rust_needed" "$found" | sort -V | head -n1)" != "$rust_needed" ]; then
    echo "install: Rust $rust_needed or newer is needed, $found is installed; run: rustup update stable" >&2
    exit 1
  fi
}

cargo_tool() { # name version
  if ! cargo --list | grep -q "^ *${1#cargo-}\b" || ! cargo "${1#cargo-}" --version 2>/dev/null | grep -q " $2\$"; then
    echo "install: $1 $2 from crates.io (takes some minutes, once)" >&2
    cargo install "$1" --locked --version "$2" --no-default-features >&2
  fi
}

for step in "$@"; do
  case "$step" in
    build) rust; debian gcc g++ make cmake pkg-config ;;
    test) debian postgresql ;;
    lint) cargo_tool cargo-deny 0.20.2 ;;
    loadtest) debian nginx-light util-linux ;;
    *) echo "install: unknown step $step" >&2; exit 2 ;;
  esac
done
