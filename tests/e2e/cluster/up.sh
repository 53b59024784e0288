#!/bin/bash
# Brings the node up and waits until it takes pods. Called by ../cluster.sh, which sets NAME, NET, WORK, BIN, IMAGES.
#
# After it returns the API server is https://NET.0.2:6443; pods and ClusterIPs are routed from the host, and
# pods reach the host's services at NET.0.1.
set -euo pipefail
: "${E2E:?}" "${NAME:?}" "${NET:?}" "${WORK:?}" "${BIN:?}" "${IMAGES:?}"
HOST_IP=$NET.0.1 NODE_IP=$NET.0.2 PODS=$NET.1.0/24 API_SVC=$NET.2.1 API=https://$NET.0.2:6443
PAUSE=localhost/pause:1
P=$WORK/pki C=$WORK/conf L=$WORK/log

die() { echo "e2e: $*" >&2; exit 1; }
case $WORK in /run/*|/var/lib/*|/var/log/*) die "E2E_WORK may not be under /run, /var/lib or /var/log";; esac
[ ${#WORK} -le 60 ] || die "E2E_WORK is too long a path for unix sockets: $WORK"
[ -z "$(ls -A "$WORK" 2>/dev/null)" ] || die "$WORK is in use: tests/e2e/cluster.sh down"
! ip link show "$NAME" >/dev/null 2>&1 || die "a network link named $NAME exists: choose another E2E_NAME"
! ip route show | grep -q "^$NET\." || die "$NET.0.0/16 is in use: choose another E2E_NET"
mkdir -p "$P" "$C/cni" "$L" "$WORK"/{run/lock,var-lib,var-log}
touch "$WORK/.up"; chmod 700 "$P"
export KUBECACHEDIR=$WORK/kubectl-cache        # else kubectl writes ~/.kube/cache

# --- certificates: one CA, EC keys (fast). cert FILE CN [O] [SAN]
(cd "$P"
 ec() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
 ec ca.key; openssl req -x509 -new -key ca.key -out ca.crt -days 3650 -subj "/CN=$NAME-ca"
 cert() { ec "$1.key"
   openssl req -new -key "$1.key" -subj "${3:+/O=$3}/CN=$2" | openssl x509 -req -CA ca.crt -CAkey ca.key \
     -set_serial "0x$(openssl rand -hex 8)" -days 3650 -out "$1.crt" \
     -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\n%s' "${4:+subjectAltName=$4}") 2>/dev/null; }
 cert apiserver kube-apiserver "" "IP:127.0.0.1,IP:$NODE_IP,IP:$API_SVC,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
 cert admin admin system:masters
 cert kubelet "system:node:$NAME" system:nodes "IP:$NODE_IP,DNS:$NAME"
 cert controller-manager system:kube-controller-manager
 cert scheduler system:kube-scheduler
 cert proxy system:kube-proxy
 cert coredns system:coredns
 cert argo-server argo-server "" "DNS:argo-server.argo.svc,DNS:argo-server.argo,DNS:argo-server,DNS:argo-server.argo.svc.cluster.local"
 ec sa.key; openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null)
for u in admin kubelet controller-manager scheduler proxy coredns; do cat > "$C/$u.kubeconfig" <<K
{"apiVersion": "v1", "kind": "Config", "current-context": "c",
 "clusters": [{"name": "c", "cluster": {"server": "$API", "certificate-authority-data": "$(base64 -w0 "$P/ca.crt")"}}],
 "users": [{"name": "u", "user": {"client-certificate-data": "$(base64 -w0 "$P/$u.crt")", "client-key-data": "$(base64 -w0 "$P/$u.key")"}}],
 "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}
K
done
cp "$C/admin.kubeconfig" "$WORK/kubeconfig"; chmod 600 "$WORK/kubeconfig" "$C"/*.kubeconfig

# --- containerd, CNI, kubelet, DNS
cat > "$C/containerd.toml" <<K
version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  restrict_oom_score_adj = true      # without CAP_SYS_RESOURCE, runc cannot lower it to the -998 of a sandbox
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$C/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
K
cat > "$C/cni/10-bridge.conflist" <<K
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
K
cat > "$C/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false                  # 1.35: refuses cgroup v1 otherwise
cgroupDriver: cgroupfs
cgroupRoot: /$NAME
protectKernelDefaults: true          # fail rather than write the machine's sysctls
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $P/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $P/kubelet.crt
tlsPrivateKeyFile: $P/kubelet.key
clusterDomain: cluster.local
clusterDNS: [$NODE_IP]
resolvConf: $C/resolv.conf
volumePluginDir: /var/lib/kubelet/volumeplugins   # else it makes one under /usr/libexec
# no registry to pull from again: never collect images, never evict for the disk's sake
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
K
echo "nameserver $NODE_IP" > "$C/resolv.conf"
cat > "$C/Corefile" <<K
cluster.local in-addr.arpa {
  bind $NODE_IP
  errors
  ready $NODE_IP:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $C/coredns.kubeconfig
    ttl 5
  }
  cache 5
}
. {
  bind $NODE_IP
  template ANY ANY {
    rcode NXDOMAIN
  }
}
K
cat > "$C/coredns.yaml" <<K
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:coredns}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: system:coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns}]
K

# --- the root of all pods' cgroups: in each hierarchy of version 1, in the one of version 2
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p "/sys/fs/cgroup/$NAME"
  for c in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$c" > /sys/fs/cgroup/cgroup.subtree_control || true
  done 2>/dev/null
else
  for h in /sys/fs/cgroup/*/; do mkdir -p "$h$NAME"; done
  for f in cpuset.cpus cpuset.mems; do
    cat /sys/fs/cgroup/cpuset/$f > "/sys/fs/cgroup/cpuset/$NAME/$f"; done 2>/dev/null || true
fi

# --- start; if anything below fails, end what was started and keep the logs
trap 'exit 130' INT; trap 'exit 143' TERM
trap 'rc=$?; [ $rc = 0 ] || { KEEP_WORK=1 "$E2E/cluster/down.sh"; echo "e2e: failed; logs in $L" >&2; }' EXIT
setsid unshare --net --mount --pid --fork --kill-child --mount-proc \
  bash "$E2E/cluster/node.sh" > "$L/init.log" 2>&1 < /dev/null &
echo $! > "$WORK/unshare.pid"
for _ in $(seq 100); do init=$(pgrep -P "$!" || true); [ -n "$init" ] && break; sleep 0.05; done
[ -n "$init" ] || die "the namespaces did not start: $(cat "$L/init.log")"
echo "$init" > "$WORK/init.pid"
ip link add "$NAME" type veth peer name uplink netns "$init"
ip addr add "$HOST_IP/30" dev "$NAME"; ip link set "$NAME" up
ip route add "$NET.0.0/16" via "$NODE_IP"       # pods and services, from the host

CTR="ctr -a $WORK/run/containerd/containerd.sock -n k8s.io"
wait_for() { local n=$1 t=$2; shift 2; local end=$((SECONDS+t)); until "$@" >/dev/null 2>&1; do
  kill -0 "$init" 2>/dev/null || die "the cluster ended: see $L"
  [ $SECONDS -lt $end ] || die "$n not ready after $t s: see $L"; sleep 0.1; done; }
wait_for containerd 60 $CTR version
for i in $IMAGES; do $CTR images import "$i" > /dev/null; done
K="$BIN/kubectl --kubeconfig $WORK/kubeconfig"
wait_for API 90 $K get --raw /readyz
wait_for node 90 sh -c "$K get node $NAME | grep -qw Ready"
wait_for DNS 60 curl -sf "http://$NODE_IP:8181/ready"
wait_for ServiceAccount 30 $K -n default get serviceaccount default
echo "e2e: node $NAME is ready after $SECONDS s" >&2
