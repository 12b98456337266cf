"""Agent state: JSON documents by namespace and key."""
