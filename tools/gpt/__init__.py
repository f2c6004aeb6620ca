"""GUID partition tables: the layout file that describes them, their writer and their reader."""
