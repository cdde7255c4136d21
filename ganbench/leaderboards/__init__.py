"""Records -> tables: statistics, ranks, and the formats of tables."""
