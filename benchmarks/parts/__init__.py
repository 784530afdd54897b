"""Parts of the engine one by one, by pytest-benchmark: ``make bench-parts``."""
