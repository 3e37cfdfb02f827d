"""The commands: thin, a file each, over the same functions that the server uses."""
