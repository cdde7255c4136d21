"""Machine-level services for a run: determinism, random states, memory, energy."""
