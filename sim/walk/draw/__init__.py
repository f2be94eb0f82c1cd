"""Page tables and frames as text, SVG and JSON."""
