"""What the numbers of a study allow to be said: intervals, paired tests, rankings and power."""
