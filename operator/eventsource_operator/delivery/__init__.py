"""From a pending change to the Argo Server's acknowledgement."""
