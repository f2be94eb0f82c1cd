"""What several tests share: small machines, and programs drawn at random."""
