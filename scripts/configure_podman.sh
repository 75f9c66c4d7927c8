#!/usr/bin/env bash
# Let Podman of Debian bookworm run as root inside a virtual machine or container that has hybrid control groups and
# no CAP_SYS_RESOURCE (CI): its default runtime and limits need more. Writes one file that a package never touches.
set -euo pipefail

folder=/etc/containers/containers.conf.d
mkdir -p "$folder"
cat >"$folder/nucseg.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
podman info --format 'podman {{.Version.Version}}, {{.Host.OCIRuntime.Name}}, {{.Store.GraphDriverName}}'
