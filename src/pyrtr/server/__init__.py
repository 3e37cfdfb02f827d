"""The edge towards routers: what is published, who is connected, and the bytes between."""
