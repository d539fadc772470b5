"""Tables and archives of users: read safely, from a file of any kind to batches of trimmed cells."""
