"""People: what runs ask, who is asked at this terminal, and which answers count."""
