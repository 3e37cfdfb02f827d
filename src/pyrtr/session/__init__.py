"""Who says what, and when: conversations as state machines that own no socket and no clock."""
