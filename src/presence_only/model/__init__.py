"""The location encoder and its scores at sites."""
