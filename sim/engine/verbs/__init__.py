"""The verbs of programs, by what they are about; `process` puts them together."""
