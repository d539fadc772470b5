"""Report of a study: one HTML page, made of tables and arrays alone."""
