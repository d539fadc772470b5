"""Fair comparison of losses: each tuned with the same budget, then scored in worlds that no search saw."""
