"""Facts that an agent has learned about a resource."""
