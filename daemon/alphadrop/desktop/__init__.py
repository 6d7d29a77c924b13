"""What makes Alphadrop at home in a user's desktop: programs that are there already, and clients of the API."""
