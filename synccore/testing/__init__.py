<<<<<<< HEAD
"""The test kit: what whoever writes a backend, or tests against one, needs. No part of it runs in the product."""
=======
"""The test kit: what a suite needs to try the engine, and its parts, for real."""
>>>>>>> writer
