"""Fair comparison of losses over many worlds: each loss tuned with the same budget, then scored in worlds it never saw."""
