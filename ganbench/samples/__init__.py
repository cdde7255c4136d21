"""Samples that GANBench did not make: reads them, fits them to a protocol's data, and looks for faults."""
