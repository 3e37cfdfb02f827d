"""Following an RTR cache in a process of its own: what it is told and tells, its connections, and the process."""
