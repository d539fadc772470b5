"""The report of a study: one page, from tables and arrays alone."""
