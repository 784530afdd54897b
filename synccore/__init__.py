"""The synchronisation engine: content-addressed storage, manifests, diff and materialisation.

It knows no terminal, no home directory and no environment variable; everything it needs is handed to it.
"""
