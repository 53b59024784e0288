"""Lists and watches of the Kubernetes API, shared by all sources that ask for the same."""
