"""Scripts of anonymous memory under a limit, with swap: which pages are in memory."""
