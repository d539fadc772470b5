"""Users' occurrence records: cleaned, and made into training data and a held-out survey."""
