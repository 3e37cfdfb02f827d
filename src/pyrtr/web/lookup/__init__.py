"""Heavy answers, made in a process of its own and handed on in pieces, so that no router waits for them."""
