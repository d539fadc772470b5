"""The map page: one folder with range maps of a run's species that opens in any browser, from the disk and offline."""
