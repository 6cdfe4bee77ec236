"""Scripts that are measured as whole processes: what a start costs, and what a large graph takes of memory."""
