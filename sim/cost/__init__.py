"""How long things take: the catalogue of prices, their distributions and the draws from them."""
