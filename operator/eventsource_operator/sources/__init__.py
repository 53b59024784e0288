"""EventSources at run time: what connects a spec, its streams, its deliveries and its status."""
