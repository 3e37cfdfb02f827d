"""From the records of a document to payload, and which of them are dropped for what reason."""
