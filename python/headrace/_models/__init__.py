"""What is known of a model and of who serves it: the catalogue of providers, the price list, what a request costs."""

OFFERED = ("catalog", "price_list", "prices")
"""The modules that other rooms may import."""
