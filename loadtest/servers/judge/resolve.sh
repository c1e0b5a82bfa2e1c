# Shell, behind ../fetch.sh.
# Prints the directory that holds the jars which a Maven project (its text, not its path) asks for: validators of
# electronic invoices. They are fetched with Maven once and kept in TOLLGATE_STACK_CACHE, by default tollgate/ in the
# user's cache directory.
#   resolve.sh "$(cat pom.xml)"

pom=$1
jars=$cache/invoice-judge-$(printf '%s' "$pom" | sha256sum | cut -c1-16)

fetch() {
  command -v mvn > /dev/null || fail 'Maven is not installed: run `apt-get install maven`'
  partial=$jars.partial
  rm -rf "$partial"
  mkdir "$partial"
  printf '%s\n' "$pom" > "$partial/pom.xml"
  echo "fetching validators of invoices with Maven (some 60 MB, once) into $jars" >&2
  goal=org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies
  if ! said=$(mvn --batch-mode --quiet --file "$partial/pom.xml" \
    -DincludeScope=runtime -DoutputDirectory="$partial" "$goal" 2>&1); then
    rm -rf "$partial"
    reason=$(printf '%s\n' "$said" | sed -n 's/.*\[ERROR\] //p' | head -n 1)
    fail "Maven could not fetch the validators of invoices: ${reason:-$said}"
  fi
  mv "$partial" "$jars"
}

once invoice-judge "$jars"
printf '%s\n' "$jars"
