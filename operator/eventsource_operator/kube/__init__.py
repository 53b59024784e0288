"""The only part of the operator that talks to the Kubernetes API.

Wire exceptions (aiohttp, the kubernetes package) stop here: whoever calls gets
`kube.errors.KubeError`, which says whether trying again can help.
"""
