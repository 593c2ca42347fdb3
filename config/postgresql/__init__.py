"""PostgreSQL as the ORM reaches it, also where it is restarted or falls silent."""
