"""A plan, its jobs, one run, and where runs are carried out."""
