"""What a plugin author implements, or is handed: one file a kind."""
