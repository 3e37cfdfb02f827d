"""One attempt to get the octets of a source: from a file, or over HTTP."""
