"""How a delivery goes out: claimed, handed to its channel with no transaction open, recorded."""
