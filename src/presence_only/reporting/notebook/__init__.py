"""Tables and figures of the notebooks: each function makes one from the results of a study."""
