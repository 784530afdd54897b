"""Object storage, as the engine needs it. Only these modules talk to any."""
