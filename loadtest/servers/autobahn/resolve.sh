# Shell, behind ../fetch.sh.
# Prints the path of the program `wstest`, the Autobahn test suite for WebSockets. It runs on Python 2.7 only: the one
# that TOLLGATE_PYTHON2 names, a `python2.7` on the path, or one of pyenv. Its packages are fetched with pip once and
# kept in TOLLGATE_STACK_CACHE, by default tollgate/ in the user's cache directory.
#   resolve.sh "$(cat requirements.txt)"

requirements=$1
version=$(printf '%s\n' "$requirements" | sed -n 's/^autobahntestsuite==//p')
directory=$cache/autobahntestsuite-$version

python2() {
  for candidate in "${TOLLGATE_PYTHON2:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7; do
    if [ -n "$candidate" ] && "$candidate" -c 'import ssl' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail 'the Autobahn test suite runs on Python 2.7, of which there is none: run `pyenv install 2.7.18`, or name one in' \
    'TOLLGATE_PYTHON2'
}

fetch() {
  python=$(python2)
  rm -rf "$directory"
  mkdir -p "$directory"
  echo "fetching autobahntestsuite $version with pip (once) into $directory" >&2
  printf '%s\n' "$requirements" > "$directory/requirements.txt"
  if ! said=$("$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$directory/packages" \
    --requirement "$directory/requirements.txt" 2>&1); then
    printf '%s\n' "$said" | tail -n 3 >&2
    fail "pip could not fetch autobahntestsuite $version; it needs a package index that it can reach: look at the" \
      "network and at pip's configuration, or set TOLLGATE_STACK_CACHE to a directory that has" \
      "autobahntestsuite-$version already"
  fi
  # Outside of a folder for packages, Python passes over the file that would make this a package.
  : > "$directory/packages/zope/__init__.py"
  cat > "$directory/wstest.new" << END
#!/bin/sh
PYTHONPATH='$directory/packages' PYTHONDONTWRITEBYTECODE=1 exec '$python' -c 'from autobahntestsuite.wstest import run; run()' "\$@"
END
  chmod +x "$directory/wstest.new"
  mv "$directory/wstest.new" "$directory/wstest"
}

once autobahntestsuite "$directory/wstest"
printf '%s\n' "$directory/wstest"
