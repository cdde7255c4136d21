"""Records -> tables: statistics, ranks, and how they are written down."""
