"""Alphadrop in the programs that a user has already; of the daemon it may know the client only."""
