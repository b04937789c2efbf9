"""Bodies of requests: JSON, its paths, and forms."""
