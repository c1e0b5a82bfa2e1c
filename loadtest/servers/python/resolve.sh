# Shell, behind ../fetch.sh.
# Prints the folder of programs of a Python environment with exactly the packages of a requirements.txt (its text, not
# its path). They are fetched with pip once and kept in TOLLGATE_STACK_CACHE, by default tollgate/ in the user's cache
# directory, under the name of the package that they are fetched for.
#   resolve.sh PACKAGE "$(cat requirements.txt)"

package=$1 requirements=$2
version=$(printf '%s\n' "$requirements" | sed -n "s/^$package==//p")
environment=$cache/$package-$version

fetch() {
  rm -rf "$environment"
  echo "fetching $package $version with pip (once) into $environment" >&2
  python3 -m venv "$environment" >&2 || fail 'python3 has no venv: run `apt-get install python3-venv`'
  printf '%s\n' "$requirements" > "$environment/requirements.txt"
  if ! said=$("$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    --requirement "$environment/requirements.txt" 2>&1); then
    printf '%s\n' "$said" | tail -n 3 >&2
    fail "pip could not fetch $package $version; it needs a package index that it can reach: look at the network" \
      "and at pip's configuration, or set TOLLGATE_STACK_CACHE to a directory that has $package-$version already"
  fi
  touch "$environment/complete"
}

once "$package" "$environment/complete"
printf '%s\n' "$environment/bin"
