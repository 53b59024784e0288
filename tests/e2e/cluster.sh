#!/bin/bash
# A real single-node Kubernetes for the end-to-end tests: no registry, no systemd, no Docker.
#
#   tests/e2e/cluster.sh check      # says what this machine lacks, and the command that brings it; exit 3
#   tests/e2e/cluster.sh prepare    # builds what `up` needs, once
#   tests/e2e/cluster.sh up         # prints `export KUBECONFIG=…`
#   tests/e2e/cluster.sh image TAG  # builds the Dockerfile and loads the image as TAG
#   tests/e2e/cluster.sh load FILE  # loads a docker-archive
#   tests/e2e/cluster.sh down       # ends it and leaves nothing behind; KEEP_WORK=1 keeps the logs
#
# Settings: E2E_NAME (evs1: names the node, the cgroup and the host's end of the link), E2E_NET (10.92: first two
# octets of a /16 of its own: .0.1 host, .0.2 node, .1.0/24 pods, .2.0/24 services), E2E_WORK (/tmp/evs-e2e-NAME).
# Two clusters with different settings run side by side.
#
# The binaries are the pinned ones of tools/controlplane, built once; the images are made by cluster/images.sh.
set -euo pipefail

E2E=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$E2E/../.." && pwd)
NAME=${E2E_NAME:-evs1} NET=${E2E_NET:-10.92}
WORK=$(realpath -m "${E2E_WORK:-/tmp/evs-e2e-$NAME}")
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/eventsource-operator/e2e
export E2E ROOT NAME NET WORK CACHE

PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
[ -x "$PYTHON" ] || PYTHON=python3
PACKAGES="containerd runc containernetworking-plugins iptables conntrack iproute2 openssl curl buildah debootstrap"
declare -A OWNER=([containerd]=containerd [runc]=runc [/usr/lib/cni/bridge]=containernetworking-plugins
  [iptables]=iptables [conntrack]=conntrack [ip]=iproute2 [openssl]=openssl [curl]=curl [buildah]=buildah
  [debootstrap]=debootstrap)
PATH=$PATH:/usr/sbin:/sbin

say() { echo "e2e: $*" >&2; }
die() { say "$*"; exit 1; }

# Prints one reason per line why a cluster cannot be made here; nothing if it can.
lacking() {
  [ "${E2E_USE_KUBECONFIG:-}" != 1 ] || return 0     # a cluster of the user's: nothing is made here
  [ "$(uname -s)" = Linux ] || { echo "a node of one's own needs Linux"; return; }
  [ "$(id -u)" = 0 ] || echo "network and mount namespaces need root: run as root"
  local program missing=""
  for program in "${!OWNER[@]}"; do
    command -v "$program" >/dev/null || [ -x "$program" ] || missing+=" ${OWNER[$program]}"
  done
  # shellcheck disable=SC2086
  [ -z "$missing" ] || echo "missing packages: apt-get update && apt-get install -y --no-install-recommends" $PACKAGES
  [ "$(id -u)" != 0 ] || [ -n "$missing" ] || lacking_of_kernel
}

# The same for what only a trial tells: a container without privileges has root and packages, and nothing else.
lacking_of_kernel() {
  unshare --net --mount --pid --fork --kill-child --mount-proc true 2>/dev/null ||
    { echo "network, mount and process namespaces cannot be made here: use a machine or a privileged container"; return; }
  unshare --net sh -c 'ip link add va type veth peer name vb && ip link add vc type bridge' 2>/dev/null ||
    echo "network links of the kinds veth and bridge cannot be made: the kernel lacks these modules"
  unshare --net iptables -t nat -S >/dev/null 2>&1 || echo "iptables has no nat table here: the kernel lacks it"
  local hierarchy
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    [ -e "$hierarchy/cgroup.procs" ] && [ "$hierarchy" = /sys/fs/cgroup -o ! -e /sys/fs/cgroup/cgroup.procs ] || continue
    mkdir "$hierarchy/evs-trial.$$" 2>/dev/null && rmdir "$hierarchy/evs-trial.$$" && continue
    echo "no control group can be made in $hierarchy"
    return
  done
}

binaries() {
  PYTHONPATH=$ROOT "$PYTHON" -c \
    'from tools.controlplane import build; print(build.ensure(("plane", "e2e")))' | tail -n 1
}

running() { [ -S "$WORK/run/containerd/containerd.sock" ] && [ -e "$WORK/init.pid" ]; }
containerd_client() { running || die "no cluster: tests/e2e/cluster.sh up"; ctr -a "$WORK/run/containerd/containerd.sock" -n k8s.io "$@"; }

case ${1:-} in
  check)
    reasons=$(lacking)
    [ -z "$reasons" ] || { echo "$reasons"; exit 3; }
    ;;
  prepare)
    reasons=$(lacking)
    [ -z "$reasons" ] || die "$reasons"
    BIN=$(binaries); export BIN
    "$E2E/cluster/images.sh" >/dev/null
    ;;
  up)
    reasons=$(lacking)
    [ -z "$reasons" ] || die "$reasons"
    if running; then echo "export KUBECONFIG=$WORK/kubeconfig"; exit; fi
    BIN=$(binaries); export BIN
    IMAGES=$("$E2E/cluster/images.sh"); export IMAGES
    "$E2E/cluster/up.sh"
    echo "export KUBECONFIG=$WORK/kubeconfig"
    ;;
  image)
    running || die "no cluster: tests/e2e/cluster.sh up"
    archive=$("$E2E/cluster/build-app.sh" "${2:?TAG, such as eventsource-operator:0.1.0}")
    containerd_client images import "$archive" >/dev/null
    say "loaded $2 ($(stat -c %s "$archive" | numfmt --to=iec) uncompressed)"
    ;;
  load)
    containerd_client images import "${2:?a docker-archive}" >/dev/null
    ;;
  down)
    "$E2E/cluster/down.sh"
    ;;
  *)
    sed -n '2,18s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
