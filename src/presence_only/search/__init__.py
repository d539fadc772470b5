"""Search of a variant's settings by held-out presence records; nothing here sees a survey or its truth."""
