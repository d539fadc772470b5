"""The commands of dvc.yaml, and what runs them."""
