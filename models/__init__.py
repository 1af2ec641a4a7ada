"""Network definitions in torch; only training and export import them."""
