"""What a cassette tells a person: the conversation, the answers, the time they took."""
