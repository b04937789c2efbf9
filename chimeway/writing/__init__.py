"""Texts that models write, for workflows and for deliveries."""
