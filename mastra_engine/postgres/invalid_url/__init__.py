"""The database backend of a `DB_URL` that is not valid."""
