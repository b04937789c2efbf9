"""Cassette files: written for people to review, read with every mistake named."""
