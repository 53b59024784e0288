"""A Kubernetes operator that turns changes of objects into Argo Workflows events."""

__version__ = "0.1.0"
