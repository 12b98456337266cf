"""A support desk that answers from documentation and tickets, as a small site."""
