#!/usr/bin/env bash
# Make the base image (Debian bookworm with python 3.11) without a registry and import it into the engine.
# For machines where the default BASE_IMAGE cannot be pulled; needs root and mmdebstrap.
#
#   scripts/base_rootfs.sh [TAG]
#
# The packages come from the Debian mirror that this machine's own apt uses; DEBIAN_MIRROR=URL names another.
set -euo pipefail

tag=${1:-nucseg/rootfs:bookworm}
suite=bookworm

die() { printf 'base_rootfs: %s\n' "$*" >&2; exit 3; }

command -v mmdebstrap >/dev/null || die "mmdebstrap is missing. Try: apt-get install mmdebstrap"
[ "$(id -u)" = 0 ] || die "a root file system is made by root. Try: sudo make base-rootfs"
docker version >/dev/null 2>&1 || die "no container engine answers. Try: scripts/start_engine.sh"

# Without an argument mmdebstrap takes Debian's public mirror, so an apt without lists is no obstacle.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v suite="$suite" '$1 == suite && $2 == "main" && $3 == "Debian" { print $4; exit }')}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The merged-usr hook and usr-is-merged together keep out usrmerge, which drags in the full perl (47 MB).
echo "base_rootfs: making $tag from Debian packages${mirror:+ of $mirror} (about half a minute)"
mmdebstrap --quiet --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include=usr-is-merged,python3,python3-venv,ca-certificates,tini \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='ln -s python3 "$1/usr/local/bin/python"' \
    --customize-hook='rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*' \
    "$suite" "$work/rootfs.tar" ${mirror:+"$mirror"} >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; die "mmdebstrap failed. Try: apt-get update, or DEBIAN_MIRROR=URL scripts/base_rootfs.sh"; }

docker import \
    -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    -c 'ENV LANG=C.UTF-8' \
    -c 'CMD ["/bin/bash"]' \
    "$work/rootfs.tar" "$tag" >/dev/null
docker image inspect --format "{{index .RepoTags 0}}: {{.Size}} bytes" "$tag"
