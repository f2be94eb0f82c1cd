"""Scripts of malloc and free, and what the models of malloc make of them."""
