"""A support desk: a site that answers from documentation and tickets, and remembers its users."""
