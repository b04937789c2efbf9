"""A person's word on what a model wrote."""
