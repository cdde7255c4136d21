"""What a run needs from its machine: determinism, random states, memory, energy."""
