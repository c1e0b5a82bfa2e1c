#!/bin/sh
# The root file system of the image, without the programs: what they need of Debian, their user and their folders.
# Runs in the image as it is built, and in deploy/docker/chroot.sh.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get update
# libssl3 and zlib1g: the client of Kafka. Fonts: PDF documents; fonts-noto-cjk and fonts-noto-color-emoji have further letters.
apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g fonts-noto-core
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache

groupadd --gid 10001 tollgate
useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/tollgate --shell /usr/sbin/nologin tollgate
install -d -m 0755 /etc/tollgate
install -d -m 0700 -o 10001 -g 10001 /var/lib/tollgate
