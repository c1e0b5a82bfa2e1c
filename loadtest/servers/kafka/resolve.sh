# Shell, behind ../fetch.sh.
# Prints the directory that holds the jars which a Maven project (its text, not its path) asks for. They are fetched
# with Maven once and kept in TOLLGATE_STACK_CACHE, by default tollgate/ in the user's cache directory.
#   resolve.sh "$(cat pom.xml)"

pom=$1
version=$(printf '%s\n' "$pom" | sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p')
jars=$cache/kafka-$version

fetch() {
  if ! command -v mvn > /dev/null; then
    fail 'Maven is not installed: run `apt-get install maven`'
  fi
  partial=$jars.partial
  rm -rf "$partial"
  mkdir "$partial"
  printf '%s\n' "$pom" > "$partial/pom.xml"
  echo "fetching Apache Kafka $version with Maven (some 70 MB, once) into $jars" >&2
  goal=org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies
  if ! said=$(mvn --batch-mode --quiet --file "$partial/pom.xml" \
    -DincludeScope=runtime -DoutputDirectory="$partial" "$goal" 2>&1); then
    rm -rf "$partial"
    reason=$(printf '%s\n' "$said" | sed -n 's/.*\[ERROR\] //p' | head -n 1)
    printf '%s\n' "${reason:-$said}" >&2
    fail "Maven could not fetch Apache Kafka $version; it needs a package registry that it can reach: look at the" \
      "network and at mirrors and proxies in ~/.m2/settings.xml, or set TOLLGATE_STACK_CACHE to a directory that" \
      "has kafka-$version already"
  fi
  mv "$partial" "$jars"
}

once kafka "$jars"
printf '%s\n' "$jars"
