"""The demonstration, and what measures the synchronisation."""
