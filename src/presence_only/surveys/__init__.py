"""Surveys that say where species were looked for: read from users' tables, and made into the truth of a survey."""
