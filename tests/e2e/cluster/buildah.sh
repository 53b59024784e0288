# Sourced: buildah with storage of its own under the cache, so that nothing of the machine's is touched.
: "${CACHE:?}"
DRIVER=overlay
# Overlay on overlay does not work (a build inside a container): copying layers does, slowly.
case $(stat -f -c %T "$(dirname "$CACHE")" 2>/dev/null) in overlayfs) DRIVER=vfs;; esac
bah() { buildah --root "$CACHE/storage-$DRIVER" --runroot "/tmp/evs-e2e-buildah" --storage-driver $DRIVER "$@"; }
# save IMAGE FILE: as a docker-archive with that name, whole or not at all.
save() { bah push -q "$1" "docker-archive:$2.partial:$1" && mv "$2.partial" "$2"; }
