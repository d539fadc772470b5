"""Users' occurrence records: read safely, cleaned, and made into training data and a survey."""
