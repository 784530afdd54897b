"""Google's control APIs: what the lab asks of them beside storage."""
