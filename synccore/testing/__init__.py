"""The test kit: what whoever writes a backend, or tests against one, needs. No part of it runs in the product."""
