"""Records in vector indexes, and their search by meaning."""
