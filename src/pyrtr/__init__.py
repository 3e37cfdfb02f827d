"""pyRTR: an RPKI-to-Router cache."""
