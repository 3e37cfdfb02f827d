"""Another pyRTR that is followed over HTTP, in a process of its own."""
