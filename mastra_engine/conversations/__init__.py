"""Messages, context windows, and the formats of model providers."""
