"""`/api/v1`: what is served, and to whom, in answers that programs read. `docs/http.md` describes it for people."""
