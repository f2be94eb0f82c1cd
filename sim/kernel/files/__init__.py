"""The page cache: what gets into it, read-ahead, read and write, advice about files."""
