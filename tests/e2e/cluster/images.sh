#!/bin/bash
# Makes the images that the cluster needs and no registry of ours has, once, into the cache; prints their files.
#   pause    process 1 of every pod's sandbox
#   argo     Argo Server and workflow-controller, the pinned binaries
# and, for building the operator's image, a Python base (not loaded into the cluster): localhost/python:3.11.
# Called by ../cluster.sh, which sets CACHE, ROOT and BIN. What an image is made of names its file.
set -euo pipefail
: "${E2E:?}" "${ROOT:?}" "${CACHE:?}" "${BIN:?}"
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
[ -x "$PYTHON" ] || PYTHON=python3
mkdir -p "$CACHE"
. "$E2E/cluster/buildah.sh"
key() { cat "$@" | sha256sum | cut -c1-12; }
say() { echo "e2e: $* (once)" >&2; }
exec 9> "$CACHE/.lock"; flock 9           # one maker at a time

pause=$CACHE/pause-$(key "$E2E/cluster/pause/main.go" "$0").tar
if [ ! -e "$pause" ]; then
  say "image pause"
  go=$(PYTHONPATH=$ROOT "$PYTHON" -c 'from tools.controlplane import toolchain; print(toolchain.find_go())' | tail -n 1)
  scratch=$(mktemp -d)
  (cd "$E2E/cluster/pause" && CGO_ENABLED=0 GO111MODULE=off "$go" build -trimpath -ldflags '-s -w' -o "$scratch/pause" main.go)
  c=$(bah from scratch)
  bah copy -q "$c" "$scratch/pause" /pause >/dev/null
  bah config --entrypoint '["/pause"]' --user 65535:65535 "$c"
  bah commit -q --rm "$c" localhost/pause:1 >/dev/null
  save localhost/pause:1 "$pause"
  rm -rf "$scratch"
fi

argo=$CACHE/argo-$(basename "$BIN" | cut -c1-20)-$(key "$0").tar
if [ ! -e "$argo" ]; then
  say "image argo"
  c=$(bah from scratch)
  bah copy -q "$c" "$(realpath "$BIN/argo")" /bin/argo >/dev/null
  bah copy -q "$c" "$(realpath "$BIN/workflow-controller")" /bin/workflow-controller >/dev/null
  bah config --user 8737:8737 "$c"
  bah commit -q --rm "$c" localhost/argo:e2e >/dev/null
  save localhost/argo:e2e "$argo"
fi

base=$CACHE/.python-base-$(key "$0")
if [ ! -e "$base" ] || ! bah inspect --type image localhost/python:3.11 >/dev/null 2>&1; then
  say "image python:3.11, a base for the operator's"
  root=$(mktemp -d "$CACHE/rootfs.XXXXXX")
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" \
    > "$CACHE/debootstrap.log" || { tail -n 5 "$CACHE/debootstrap.log" >&2; exit 1; }
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/tmp/* "$root"/dev/*
  find "$root" -name __pycache__ -prune -exec rm -rf {} +
  ln -sf python3 "$root/usr/bin/python"
  c=$(bah from scratch)
  bah copy -q "$c" "$root" / >/dev/null
  bah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env LANG=C.UTF-8 "$c"
  bah commit -q --rm "$c" localhost/python:3.11 >/dev/null
  rm -rf "$root"
  touch "$base"
fi
echo "$pause $argo"
