"""One photograph in, one cut-out out. Knows no folder, no socket, no user."""
