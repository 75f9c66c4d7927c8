#!/usr/bin/env bash
# Install Apptainer where the distribution has no package of it (Debian bookworm, for CI); needs root.
#
#   scripts/install_apptainer.sh
#
# Debian has Apptainer in its suite "sid" alone, built against a newer C library. Its two programs get that library
# beside them and a loader of their own, so that nothing else of this machine changes. The packages come, checked by
# apt, from the mirror that this machine's own apt uses; DEBIAN_MIRROR=URL names another.
set -euo pipefail

prefix=/opt/nucseg-apptainer
multiarch=/usr/lib/x86_64-linux-gnu

die() { printf 'install_apptainer: %s\n' "$*" >&2; exit 3; }

if command -v apptainer >/dev/null; then apptainer --version; exit 0; fi
[ "$(id -u)" = 0 ] || die "packages are installed by root. Try: sudo scripts/install_apptainer.sh"
[ "$(dpkg --print-architecture)" = amd64 ] || die "only amd64 is known here. Try: Apptainer's own installation guide"

export DEBIAN_FRONTEND=noninteractive
add() { apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; }
apt-get update -q
if add apptainer 2>/dev/null; then apptainer --version; exit 0; fi
add patchelf squashfs-tools squashfuse fuse-overlayfs fuse3 uidmap zstd

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "main" && $2 == "Debian" { print $3; exit }')}
[ -n "$mirror" ] || die "apt knows no Debian mirror. Try: DEBIAN_MIRROR=URL scripts/install_apptainer.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$work/sid.list"
# An apt of its own: sid must not become a source of this machine's packages.
sid=(-q -o "Dir::Etc::SourceList=$work/sid.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists"
    -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none)
apt-get "${sid[@]}" update
cd "$work"
apt-get "${sid[@]}" download apptainer libc6 libgcc-s1 libseccomp2 libsqlite3-0
mkdir libraries program
for package in *.deb; do
    case $package in apptainer_*) dpkg -x "$package" program ;; *) dpkg -x "$package" libraries ;; esac
done

# Apptainer's own paths are compiled into it.
mkdir -p "$prefix" "$multiarch/apptainer" /var/lib/apptainer/mnt/session
cp -a libraries$multiarch/*.so* "$prefix/"
cp -a program/etc/apptainer /etc/
cp -a program$multiarch/apptainer/. "$multiarch/apptainer/"
# Forced, because the libraries' own needs are looked up by RPATH alone.
for file in program/usr/bin/apptainer "$multiarch/apptainer/bin/starter"; do
    patchelf --force-rpath --set-interpreter "$prefix/ld-linux-x86-64.so.2" --set-rpath "$prefix" "$file"
done
install -m 755 program/usr/bin/apptainer /usr/bin/apptainer
# The old name, which BIOMERO and BIAFLOWS call, as Apptainer's own packages have it.
ln -sf apptainer /usr/bin/singularity
# "full" asks for every capability there is, and a root in a container or virtual machine lacks some.
sed -i 's/^root default capabilities = full/root default capabilities = file/' /etc/apptainer/apptainer.conf
# Ordinary users mount the image through FUSE.
[ ! -e /dev/fuse ] || chmod 666 /dev/fuse
apptainer --version
