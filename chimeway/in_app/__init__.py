"""The inbox: what a recipient was shown in the app, and what it did with it."""
