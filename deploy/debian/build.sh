#!/bin/bash
# Makes the Debian package of the built programs: deploy/debian/build.sh PROGRAMS OUT
# PROGRAMS is a folder with gateway, billing and keyctl, and documents if it was built; prints the path of the package.
# The same programs and SOURCE_DATE_EPOCH make the same package.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
programs=$(cd "$1" && pwd) out=$(mkdir -p "$2" && cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 0)}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/Cargo.toml")
architecture=$(dpkg --print-architecture)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
root=$work/root

install -d "$root"/{DEBIAN,usr/bin,etc/tollgate,lib/systemd/system,usr/share/doc/tollgate,usr/share/bash-completion/completions}
names=(gateway billing keyctl)
[ ! -e "$programs/documents" ] || names+=(documents)
for name in "${names[@]}"; do
  install -m 0755 "$programs/$name" "$root/usr/bin/$name"
  strip --strip-unneeded --remove-section=.comment "$root/usr/bin/$name"
done
install -m 0644 "$here"/deploy/systemd/*.service "$root/lib/systemd/system/"
install -m 0644 "$here/config/plans.yaml" "$root/etc/tollgate/plans.yaml"
# The files of the repository with the package's folders.
for name in gateway billing; do
  sed -e '/yaml-language-server/d' -e 's#data/#/var/lib/tollgate/#g' -e 's#^pepper_file:#\# pepper_file:#' \
    "$here/config/$name.yaml" > "$root/etc/tollgate/$name.yaml"
done
"$programs/keyctl" completions bash > "$root/usr/share/bash-completion/completions/keyctl"
install -m 0644 "$here"/docs/{runbook,upgrading,configuration,metrics}.md "$root/usr/share/doc/tollgate/"
install -m 0644 "$here/deploy/debian/copyright" "$root/usr/share/doc/tollgate/copyright"
gzip -9n < "$here/CHANGELOG.md" > "$root/usr/share/doc/tollgate/CHANGELOG.md.gz"
gzip -9n > "$root/usr/share/doc/tollgate/changelog.gz" <<CHANGELOG
tollgate ($version) unstable; urgency=medium

  * See CHANGELOG.md.gz.

 -- Tollgate maintainers <maintainers@tollgate.invalid>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
install -d "$root/usr/share/lintian/overrides"
# The reader of YAML is a translation to Rust, with no library of Debian's behind it.
printf 'tollgate: embedded-library libyaml *\n' > "$root/usr/share/lintian/overrides/tollgate"
install -m 0755 "$here"/deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
printf '/etc/tollgate/%s\n' billing.yaml gateway.yaml plans.yaml > "$root/DEBIAN/conffiles"

# The libraries that the programs are linked with, with their versions.
install -d "$work/debian" && printf 'Source: tollgate\n\nPackage: tollgate\nArchitecture: any\n' > "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "${names[@]/#/root/usr/bin/}" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
cat > "$root/DEBIAN/control" <<CONTROL
Package: tollgate
Version: $version
Architecture: $architecture
Maintainer: Tollgate maintainers <maintainers@tollgate.invalid>
Installed-Size: $(du -ks --exclude=DEBIAN "$root" | cut -f1)
Depends: $depends, adduser, ca-certificates, openssl
Recommends: fonts-noto-core
Section: net
Priority: optional
Description: API gateway with usage-based billing
 Tollgate checks API keys, holds each tenant to its plan, forwards requests,
 meters them, and turns a month of metered requests into invoices.
 .
 The package has the programs gateway, billing, keyctl and documents, and
 units that are started once they are enabled.
CONTROL
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums)
chmod -R u=rwX,go=rX "$root"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/tollgate_${version}_$architecture.deb" >&2
echo "$out/tollgate_${version}_$architecture.deb"
