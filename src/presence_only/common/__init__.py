"""Settings, errors, random streams and files: what every other room may use."""
