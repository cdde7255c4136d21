"""From a plan to records: jobs, runs, and the executors that carry them out."""
