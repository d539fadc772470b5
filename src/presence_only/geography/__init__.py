"""The sphere, the shipped grid of the Earth and users' rasters."""
