"""How payload and conversation look as bytes: PDUs of RTR versions 0, 1 and 2, framing, and pre-encoded images.

Pure: no socket, clock, task, file or logger.
"""
