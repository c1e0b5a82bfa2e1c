#!/usr/bin/env bash
# Builds the pages of console and portal, or tests them.
#   scripts/console.sh build    into console/dist, unless nothing has changed since
#   scripts/console.sh test     with the programs in target/debug
set -euo pipefail
cd "$(dirname "$0")/../console"
# The Node that scripts/install.sh brought, where the machine's own is too old.
export PATH="$PWD/../target/node/node_modules/node/bin:$PATH"

packages() { # those of package-lock.json
  [ node_modules/.package-lock.json -nt package-lock.json ] && return
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
}

# The API's page: one file, which its makers have built, with all that it needs inside. As a dependency it
# would bring some 300 packages, of which none is used.
scalar=1.76.0
scalar_digest=pjqwnzmA9YK3ZX+IZSICMsywm4qI6HLSngR2py9H6TvFApHHuJjkTAd+gFJfnqJDzJuro8k7ji6JCtJ2U+Byng==
reference() {
  local place=node_modules/.scalar
  [ -f "$place/$scalar" ] && return
  rm -rf "$place" && mkdir -p "$place"
  npm pack --silent --pack-destination "$place" "@scalar/api-reference@$scalar" >/dev/null
  local archive="$place/scalar-api-reference-$scalar.tgz"
  local digest='process.stdout.write(require("crypto").hash("sha512", require("fs").readFileSync(process.argv[1]), "base64"))'
  if [ "$(node -e "$digest" "$archive")" != "$scalar_digest" ]; then
    echo "console.sh: $archive is not the file that this script names" >&2
    exit 1
  fi
  tar -xzf "$archive" -C "$place" --strip-components=3 package/dist/browser/standalone.js
  rm "$archive"
  touch "$place/$scalar"
}

build() {
  if [ -f dist/manifest.json ] && [ -z "$(find src public ./*.html ./*.json ./*.ts ./*.js -newer dist/manifest.json -print -quit)" ]; then
    return
  fi
  packages
  reference
  # Types come from the API's document: a member that changed breaks what uses it.
  npx openapi-typescript openapi.json -o src/lib/api/schema.d.ts >/dev/null
  npx svelte-check --tsconfig ./tsconfig.json --fail-on-warnings --output human
  npx vite build --logLevel warn
  # The file is older than what it was built from only if something changes from now on.
  touch dist/manifest.json
}

case "${1:-}" in
  build) build ;;
  test)
    build
    packages
    npx vitest run
    npx playwright test "${@:2}"
    ;;
  *) echo "console.sh: build or test" >&2; exit 2 ;;
esac
