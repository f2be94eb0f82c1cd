"""What every other package stands on: units, errors, random keys, files, text, the compiler."""
