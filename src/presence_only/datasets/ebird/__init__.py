"""The kind of data set ``ebird``: the eBird Basic Dataset, and its complete checklists as the truth."""
