"""Who decides: which task runs, which page leaves its frame, whom the killer takes."""
