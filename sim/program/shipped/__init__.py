"""The programs that ship with cowpool, and what is expected of them in closed form."""
