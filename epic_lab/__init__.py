"""What people run: configuration, use cases, the command line and the kernel's start-up.

Nothing is imported here, so that naming one part of the package never costs the import of another.
"""
