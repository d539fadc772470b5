"""What the notebooks call: each function makes one table or one figure from the results of a study."""
