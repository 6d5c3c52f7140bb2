"""The server: models answered over HTTP in the dialects that clients speak, and a page for people."""
