#!/usr/bin/env bash
# Mutation tests of money: changes rating, prices, proration, tax, money and postings at one place at a time, and
# expects that some test of theirs fails. Arguments go to cargo-mutants, as in
#   make mutants ARGS="-F billing/src/rating/coupon"
# which tries those whose names match; PACKAGES="arithmetic rating" leaves out `common`, whose build takes longest.
# Fails if a mutant survives that accepted.txt does not list, or less than 95 % are killed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/target/mutants
tree=$out/tree
least_percent=95
packages=${PACKAGES:-arithmetic rating common}

# The sources, in a workspace of three packages. The artefacts of an earlier run stay.
sources() {
  mkdir -p "$tree/.cargo" "$tree/billing/src"
  rm -rf "$tree/common" "$tree/config" "$tree/migrations" "$tree/billing/src/rating" "$tree/billing/fixtures"
  cp -a "$root/common" "$root/config" "$root/migrations" "$tree/"
  cp -a "$root/billing/src/rating" "$root/billing/src/number.rs" "$tree/billing/src/"
  cp -a "$root/billing/fixtures" "$tree/billing/"
  cp -a "$root/Cargo.lock" "$root/rust-toolchain.toml" "$tree/"
  cp "$root/.cargo/mutants.toml" "$tree/.cargo/"
  # cargo-mutants names files by their way from the package, and knows no way up.
  { cat "$here/workspace.toml" "$here/arithmetic.toml"; sed -n '/^\[workspace.package\]/,$p' "$root/Cargo.toml"; } > "$tree/Cargo.toml"
  cp "$here/arithmetic.rs" "$tree/common/src/arithmetic.rs"
  cp "$here/rating.toml" "$tree/billing/Cargo.toml"
  cp "$here/rating.rs" "$tree/billing/src/alone.rs"
  # Tests of TLS need servers, and those of configuration files more crates; neither is about money.
  sed -i '/^servers = /d' "$tree/common/Cargo.toml"
  sed -i '/^#\[cfg(test)\]$/{N;/\nmod tests;$/d}' "$tree/common/src/tls/mod.rs" \
    "$tree/common/src/config/mod.rs"
  # An artefact of a mutant may be newer than the file that was put back.
  touch "$tree/common/src/lib.rs" "$tree/common/src/arithmetic.rs" "$tree/billing/src/alone.rs"
}

# Mutants of a package. Exit codes of cargo-mutants: 2 some were missed, 3 some timed out: both are read from its lists.
try() { # PACKAGE ARGUMENT ...
  local package=$1 code=0 scope=()
  shift
  # What `arithmetic` has is not tried again in `common`.
  [ "$package" != common ] || scope=(-E '^common/src/(money|time|invoice|ledger|plan/price|deferral/earning)')
  rm -rf "$out/$package"
  mkdir -p "$out/$package"
  (cd "$tree" && CARGO_TARGET_DIR="$out/build" CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_CASES="${PROPTEST_CASES:-64}" \
    cargo mutants --in-place -p "$package" -o "$out/$package" --no-shuffle --colors never "${scope[@]}" "$@") || code=$?
  case $code in 0 | 2 | 3) ;; *) echo "mutants: cargo-mutants failed on $package with exit code $code" >&2; exit 1 ;; esac
}

# Lines such as `billing/src/rating/coupon.rs: replace < with <= in uses`: places shift, names stay.
names() { # LIST
  local package
  for package in $packages; do
    cat "$out/$package/mutants.out/$1.txt" 2>/dev/null || true
  done | sed -E 's/^([^:]+):[0-9]+:[0-9]+: /\1: /' | sort
}

sources
for package in $packages; do
  try "$package" "$@"
done
names missed > "$out/missed.txt"
# Whatever never ends is noticed.
killed=$(($(names caught | wc -l) + $(names timeout | wc -l)))
missed=$(wc -l < "$out/missed.txt")
[ $((killed + missed)) -gt 0 ] || { echo "mutants: none were tried" >&2; exit 1; }
tenths=$((killed * 1000 / (killed + missed)))
echo "mutants: $killed of $((killed + missed)) killed ($((tenths / 10)).$((tenths % 10)) %), $missed survived"
sed -E '/^(#|$)/d; s/  # .*//' "$here/accepted.txt" | sort > "$out/accepted.txt"
new=$(comm -23 "$out/missed.txt" "$out/accepted.txt")
if [ -n "$new" ]; then
  echo "mutants: survivors that scripts/mutants/accepted.txt does not list: add a test, or the line with its reason" >&2
  echo "$new" >&2
  exit 1
fi
[ "$tenths" -ge $((least_percent * 10)) ] || { echo "mutants: less than $least_percent % are killed" >&2; exit 1; }
