"""A real Kubernetes and Argo control plane as plain local processes.

Tests, demo and benchmark run against the real servers, not against fakes: etcd, kube-apiserver,
kube-controller-manager, argo-server and workflow-controller, built once from the pinned Go modules under
`gomod/` and started in about five seconds. Only the standard library is used, so that nothing has to be
installed before it runs.
"""
