"""Facts about models and providers: the catalogue of providers, the price list, and the cost of a request."""

OFFERED = ("catalog", "price_list", "prices")
"""The modules that other rooms may import."""
