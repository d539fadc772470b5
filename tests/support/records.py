"""What a table of records holds, in forms that are easily compared."""

from presence_only.occurrences.records import categories, group_places


def vocabulary(records):
    """The species in their order, and their groups."""
    groups = categories(records.table["group"])
    return categories(records.table["species"]), tuple(groups[place] for place in group_places(records.table))
