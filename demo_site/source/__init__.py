"""The source site: it owns the database, the courses and the fragments that show them."""
