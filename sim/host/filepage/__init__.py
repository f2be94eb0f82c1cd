"""Pages of files under a limit: real readers in a control group, and what they leave."""
