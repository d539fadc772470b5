"""What lies behind a metric: by kind of species, by observer effort, by score; and theory beside it."""
