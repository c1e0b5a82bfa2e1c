# Shell, behind ../fetch.sh.
# Prints the path of a program. It is built with Go once, from the versions that go.mod and go.sum fix, and kept in
# TOLLGATE_STACK_CACHE, by default tollgate/ in the user's cache directory.
#   resolve.sh MODULE PACKAGE GO.MOD GO.SUM     the module that has the program, its package, the contents of the files

module=$1 package=$2 requirements=$3 sums=$4
name=${package##*/}
version=$(printf '%s\n' "$requirements" | sed -n "s#.*$module v\([0-9.]*\).*#\1#p" | head -n 1)
directory=$cache/$name-$version-pinned

fetch() {
  command -v go >/dev/null || fail "$name is built with Go, which is not installed: run \`apt-get install golang-go\`"
  echo "building $name $version with Go (once) into $directory" >&2
  mkdir -p "$directory/module"
  printf '%s\n' "$requirements" > "$directory/module/go.mod"
  printf '%s\n' "$sums" > "$directory/module/go.sum"
  if ! said=$(cd "$directory/module" && GOFLAGS=-mod=readonly go build -o "../$name.new" "$package" 2>&1); then
    printf '%s\n' "$said" | tail -n 3 >&2
    fail "Go could not build $name $version; it needs the version of Go that go.mod names and a module proxy that it" \
      "can reach: look at \`go version\`, the network and GOPROXY, or set TOLLGATE_STACK_CACHE to a directory that has" \
      "$name-$version-pinned already"
  fi
  mv "$directory/$name.new" "$directory/$name"
}

once "$name" "$directory/$name"
printf '%s\n' "$directory/$name"
