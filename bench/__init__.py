"""Measurements of the real program, side by side with peers and with bare sockets in one run: `python -m bench`."""
