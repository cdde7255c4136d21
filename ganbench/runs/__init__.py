"""From a plan to records: jobs, one run, and the executors that carry runs out."""
