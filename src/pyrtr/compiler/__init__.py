"""From the source's octets to a table, a delta and a report, in a process of its own."""
