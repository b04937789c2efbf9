"""What recipients want: preferences, quiet hours, caps, and how they unsubscribe."""
