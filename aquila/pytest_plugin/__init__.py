"""The plugin for pytest: cassettes for tests."""
