"""Django's SQLite backend with one writer at a time: no "database is locked" comes out."""
