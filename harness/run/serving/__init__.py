"""A run against a server: nothing is trained or loaded here, requests are sent and the machine is measured."""
