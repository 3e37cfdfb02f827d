"""Where payload comes from: one attempt to get it, and one module for each format it comes in."""
