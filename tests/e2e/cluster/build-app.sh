#!/bin/bash
# build-app.sh TAG: builds the repository's Dockerfile on the base of images.sh, with its steps cached; prints the
# archive. No registry of images is asked. Called by ../cluster.sh.
set -euo pipefail
: "${E2E:?}" "${ROOT:?}" "${CACHE:?}"
tag=docker.io/library/${1:?TAG}            # what the container runtime makes of a name without a registry
. "$E2E/cluster/buildah.sh"
# pip in the build trusts what the machine trusts (a company's proxy may re-sign TLS). Bind mounts, not
# --env or COPY: neither the bundle nor the setting stays in the image.
bundle=/etc/ssl/certs/ca-certificates.crt
mounts=(-v "$bundle:$bundle:ro")
[ ! -e /etc/pip.conf ] || mounts+=(-v /etc/pip.conf:/etc/pip.conf:ro)
revision=$(git -C "$ROOT" rev-parse HEAD 2>/dev/null || echo unknown)
bah bud -q --layers --isolation chroot --network host --pull-never --timestamp 0 -f "$ROOT/Dockerfile" \
  "${mounts[@]}" --build-arg BASE=localhost/python:3.11 --build-arg REVISION="$revision" -t "$tag" "$ROOT" >&2
archive=$CACHE/operator.tar
rm -f "$archive"
save "$tag" "$archive"
echo "$archive"
