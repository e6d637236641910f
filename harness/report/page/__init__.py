"""What a page is made of, and how it is put together."""
