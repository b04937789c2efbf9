"""What must not reach a cassette: secrets are replaced where they belong and found where they do not."""
