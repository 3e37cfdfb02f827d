"""Several replicas that serve as one: a stream of generations that all agree on, and who makes the next one."""
