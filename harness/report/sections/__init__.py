"""The sections of a page, one room for each subject."""
