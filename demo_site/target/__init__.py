"""The target site: no database, none of the source's apps; it shows what the source has warmed."""
