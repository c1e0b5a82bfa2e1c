#!/bin/bash
# Builds the image's root file system in DIRECTORY by the steps of the Dockerfile, without a container engine, and starts
# the programs there as the image does: as user 10001, on a read-only root, with one writable folder. As root, on Debian.
#   deploy/docker/chroot.sh DIRECTORY PROGRAMS      PROGRAMS: a folder with gateway, billing and keyctl
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
root=$1 programs=$2

if [ ! -e "$root/complete" ]; then
  rm -rf "$root"
  # BASE_IMAGE
  debootstrap --variant=minbase bookworm "$root" >&2
  # RUN sh /root.sh
  cp "$here/deploy/docker/root.sh" "$root/root.sh"
  chroot "$root" sh /root.sh >&2
  rm "$root/root.sh"
  touch "$root/complete"
fi
# COPY
install -m 0755 "$here/deploy/docker/healthcheck" "$programs"/{gateway,billing,keyctl} "$root/usr/local/bin/"
install -m 0644 "$here"/deploy/docker/{gateway,billing}.yaml "$here/config/plans.yaml" "$root/etc/tollgate/"
# As an engine does for the names of other containers.
echo '127.0.0.1 localhost billing upstream' > "$root/etc/hosts"

# USER, VOLUME and a read-only root, in namespaces of their own: nothing is left behind.
exec unshare --mount --pid --fork --net --kill-child bash -euo pipefail -c '
  root=$1
  ip link set lo up
  mount --bind "$root" "$root"
  mount -t tmpfs tmpfs "$root/var/lib/tollgate" -o mode=0700,uid=10001,gid=10001
  mount -o remount,ro,bind "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  as_user=(chroot --userspec=10001:10001 "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin
    HOME=/var/lib/tollgate TOLLGATE_PEPPER=0123456789abcdef0123456789abcdef)
  wait_for() { # PORT PATH: the health check of the image, until it succeeds
    for _ in $(seq 300); do "${as_user[@]}" healthcheck "$1" "$2" 2>/dev/null && return; sleep 0.2; done
    echo "port $1 never answered $2 with 200" >&2; exit 1
  }

  "${as_user[@]}" touch /usr/local/bin/x 2>/dev/null && { echo "the root is writable" >&2; exit 1; }
  for program in gateway billing keyctl; do "${as_user[@]}" "$program" --version; done
  "${as_user[@]}" billing serve --config /etc/tollgate/billing.yaml 2>"$root.billing.log" & billing=$!
  wait_for 8090 /health
  "${as_user[@]}" gateway --config /etc/tollgate/gateway.yaml --check
  "${as_user[@]}" gateway --config /etc/tollgate/gateway.yaml >"$root.gateway.log" 2>&1 & gateway=$!
  wait_for 9901 /health/ready
  "${as_user[@]}" healthcheck 9901 /nothing 2>/dev/null && { echo "the health check takes 404 for healthy" >&2; exit 1; }
  # STOPSIGNAL
  kill -TERM "$gateway"; wait "$gateway"
  kill -TERM "$billing"; wait "$billing"
  echo "the programs ran as user 10001 on a read-only root, and ended on SIGTERM with exit code 0"
' chroot "$root"
