"""The kind of data set ``geomodel``: the BirdNET geomodel's table of h3 cells with species by week."""
