"""HTTP: what an operator and other programs can see. Nothing here is asked by a router."""
