"""What is served: validated payload as sorted, unique, packed columns, and the differences between tables.

Pure: no socket, clock, task, file or logger. Everything here is immutable once made.
"""
