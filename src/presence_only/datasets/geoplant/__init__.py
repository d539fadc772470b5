"""GeoPlant and GeoLifeCLEF: presence-only records of plants, surveys as the truth, and tables of predictors."""
