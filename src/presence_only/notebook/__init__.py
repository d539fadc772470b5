"""What the notebooks read, say and show, and how the pipeline executes them."""
