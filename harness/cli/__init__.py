"""The command ``isojoule``: one file a group of verbs; `command` puts them together."""
