"""What is known of a model and of who serves it: the catalogue of providers, the price list, what a request costs."""

__all__ = ["catalog", "price_list", "prices"]
