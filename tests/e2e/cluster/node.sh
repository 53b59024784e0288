#!/bin/bash
# The node: process 1 of the namespaces that up.sh makes. Starts every daemon, restarts one that ends.
#
# Everything runs in network, mount and pid namespaces of its own. So: default ports, default paths and
# kube-proxy's iptables rules cannot collide with anything on the machine; killing this one process ends
# every daemon, shim and container, and the kernel then drops every mount, veth, bridge and rule.
set -euo pipefail
: "${NAME:?}" "${NET:?}" "${WORK:?}" "${BIN:?}"
P=$WORK/pki C=$WORK/conf L=$WORK/log
NODE_IP=$NET.0.2 PODS=$NET.1.0/24 SVCS=$NET.2.0/24 API=https://$NET.0.2:6443

for d in lib log; do mount --bind "$WORK/var-$d" /var/$d; done   # /var/lib/{kubelet,cni,containerd,etcd}
mount --bind "$WORK/run" /run                 # /run/containerd (shim sockets), /run/netns, xtables.lock

# The kubelet insists on these kernel settings and would write them for the whole machine:
# show it files that already say so instead.
mkdir -p "$WORK/sys"
while read -r key value; do
  echo "$value" > "$WORK/sys/${key//\//.}" && mount --bind "$WORK/sys/${key//\//.}" "/proc/sys/$key"
done <<S
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
S

# Network: the host makes a veth with our end named "uplink"; there is no default route, so pods
# cannot leave this machine ("Network is unreachable" at once, no time-outs).
until ip link show uplink >/dev/null 2>&1; do sleep 0.05; done
ip link set lo up; ip addr add "$NODE_IP/30" dev uplink; ip link set uplink up
ip route add "$SVCS" dev uplink                   # a route must exist for DNAT in OUTPUT to be reached
echo 1 > /proc/sys/net/ipv4/ip_forward
# Pod -> ClusterIP -> pod on one bridge; where the module is absent the bridge does it by itself.
echo 1 2>/dev/null > /proc/sys/net/bridge/bridge-nf-call-iptables || true

export PATH=$BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset KUBECONFIG
# keep NAME CMD...: run it, restart it if it ends
keep() { local n=$1; shift; ( while :; do "$@" >> "$L/$n.log" 2>&1 || true
         echo "--- $n ended: restarted" >> "$L/$n.log"; sleep 1; done ) & }

keep containerd containerd --config "$C/containerd.toml"
keep etcd etcd --data-dir /var/lib/etcd --unsafe-no-fsync
keep apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
  --advertise-address="$NODE_IP" --secure-port=6443 \
  --tls-cert-file="$P/apiserver.crt" --tls-private-key-file="$P/apiserver.key" \
  --client-ca-file="$P/ca.crt" --kubelet-certificate-authority="$P/ca.crt" \
  --kubelet-client-certificate="$P/admin.crt" --kubelet-client-key="$P/admin.key" \
  --kubelet-preferred-address-types=InternalIP \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$P/sa.pub" --service-account-signing-key-file="$P/sa.key" \
  --service-cluster-ip-range="$SVCS" --authorization-mode=Node,RBAC \
  --enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement --allow-privileged=true
# The rest would retry with growing pauses if started too early.
until curl -sf --cacert "$P/ca.crt" --cert "$P/admin.crt" --key "$P/admin.key" "$API/readyz" >/dev/null
do sleep 0.1; done
keep controller-manager kube-controller-manager --kubeconfig="$C/controller-manager.kubeconfig" \
  --leader-elect=false --use-service-account-credentials=true --bind-address=127.0.0.1 \
  --root-ca-file="$P/ca.crt" --service-account-private-key-file="$P/sa.key" \
  --cluster-signing-cert-file="$P/ca.crt" --cluster-signing-key-file="$P/ca.key" \
  --allocate-node-cidrs=false
keep scheduler kube-scheduler --kubeconfig="$C/scheduler.kubeconfig" --leader-elect=false --bind-address=127.0.0.1
# conntrack sysctls are read-only outside the first network namespace: 0 = leave them alone
keep proxy kube-proxy --kubeconfig="$C/proxy.kubeconfig" --hostname-override="$NAME" \
  --proxy-mode=iptables --cluster-cidr="$PODS" --conntrack-max-per-core=0 --conntrack-min=0
# First CoreDNS's rights: it backs off for seconds on a 403.
until kubectl --kubeconfig="$C/admin.kubeconfig" apply -f "$C/coredns.yaml" >/dev/null; do sleep 0.2; done
keep coredns coredns -conf "$C/Corefile"
until ctr -a /run/containerd/containerd.sock version >/dev/null 2>&1; do sleep 0.1; done
keep kubelet kubelet --config="$C/kubelet.yaml" --kubeconfig="$C/kubelet.kubeconfig" \
  --hostname-override="$NAME" --node-ip="$NODE_IP"
while :; do wait -n || true; sleep 1; done   # stay, and reap what is orphaned to process 1
