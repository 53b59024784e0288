"""The benchmark: the operator and its peers, side by side, in one run, on the real control plane."""
