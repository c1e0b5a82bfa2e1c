# The part that the scripts share which fetch a server or a program of tests, each in its folder: its text comes before
# theirs. What is fetched stays in TOLLGATE_STACK_CACHE, by default tollgate/ in the user's cache directory.
set -eu

cache=${TOLLGATE_STACK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tollgate}

fail() {
  echo "$*" >&2
  exit 1
}

# Calls the script's `fetch`, unless FILE is there. One at a time: whoever waited for the lock NAME finds the work done.
# What fetches inherits the lock and holds it to its end.
once() { # NAME FILE
  [ ! -e "$2" ] || return 0
  mkdir -p "$cache"
  exec 9> "$cache/$1.lock"
  flock 9
  [ -e "$2" ] || fetch
}
