"""What a plugin author implements or is given: one file per kind."""
