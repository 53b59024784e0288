#!/bin/bash
# Ends the cluster of up.sh (same NAME and WORK) and leaves nothing running or mounted. Called by ../cluster.sh.
set -uo pipefail
: "${NAME:?}" "${WORK:?}"

# Killing the pid namespace's init makes the kernel kill all in it; unshare is its parent.
# The pid files are ours only if that process still is node.sh.
for f in init unshare; do
  pid=$(cat "$WORK/$f.pid" 2>/dev/null) || continue
  if { tr "\0" " " < "/proc/$pid/cmdline"; } 2>/dev/null | grep -q "cluster/node.sh"; then
    kill -KILL "$pid" 2>/dev/null
    for _ in $(seq 200); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    kill -0 "$pid" 2>/dev/null && { echo "down.sh: pid $pid does not end" >&2; exit 1; }
  fi
done
rm -f "$WORK"/{init,unshare}.pid

# The host's end of the link goes with the network namespace, a moment later.
for _ in $(seq 100); do ip link show "$NAME" >/dev/null 2>&1 || break; sleep 0.05; done
ip link del "$NAME" 2>/dev/null
for d in /sys/fs/cgroup/"$NAME" /sys/fs/cgroup/*/"$NAME"; do
  for _ in $(seq 50); do
    [ -d "$d" ] || break
    find "$d" -depth -type d -exec rmdir {} + 2>/dev/null; [ -d "$d" ] && sleep 0.1
  done
  [ -d "$d" ] && { echo "down.sh: $d is still in use" >&2; exit 1; }
done
grep -q " $WORK/" /proc/self/mounts && { echo "down.sh: still mounted under $WORK" >&2; exit 1; }
[ -n "${KEEP_WORK:-}" ] || [ ! -e "$WORK/.up" ] || rm -rf --one-file-system "$WORK"
exit 0
