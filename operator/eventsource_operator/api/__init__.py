"""The kinds of the API group `eventsource-operator.dev`: parse, serialise, defaults. No I/O."""
