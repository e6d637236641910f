"""A client that puts load on an OpenAI-compatible server and keeps what came of every request. Needs no torch."""
