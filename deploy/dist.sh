#!/bin/bash
# Puts the files of a release into OUT: deploy/dist.sh PROGRAMS OUT
# An archive with programs, settings and documents; the Debian package; components of each program (CycloneDX); checksums.
# The same programs and SOURCE_DATE_EPOCH make the same files.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
programs=$(cd "$1" && pwd)
rm -rf "$2" && mkdir -p "$2" && out=$(cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 0)}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/Cargo.toml")
name=tollgate-$version-$(uname -m)-linux
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

mkdir -p "$work/$name/bin"
for program in gateway billing keyctl documents; do
  [ -e "$programs/$program" ] || continue
  install -m 0755 "$programs/$program" "$work/$name/bin/"
  strip "$work/$name/bin/$program"
done
cp -r "$here"/{README.md,CHANGELOG.md,LICENSE,SECURITY.md,config,docs} "$work/$name/"
mkdir "$work/$name/deploy"
# The chart and the stack link to rules and dashboards: the archive has files.
cp -rL "$here"/deploy/{prometheus,grafana,compose,helm,systemd} "$work/$name/deploy/"
tar --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$SOURCE_DATE_EPOCH" \
  --create "$name" | gzip -9n > "$out/$name.tar.gz"

"$here/deploy/debian/build.sh" "$programs" "$out" >/dev/null

if cargo cyclonedx --version >/dev/null 2>&1; then
  for crate in gateway billing keyctl; do
    (cd "$here" && cargo cyclonedx --manifest-path "$crate/Cargo.toml" --format json --override-filename "components-$crate" --quiet)
    mv "$here/$crate/components-$crate.json" "$out/$crate-$version.cdx.json"
    find "$here" -name "components-$crate.json" -not -path '*/target/*' -delete
  done
else
  echo "dist: cargo-cyclonedx is not installed: no list of components" >&2
fi
(cd "$out" && sha256sum -- * > SHA256SUMS)
ls -l "$out" >&2
