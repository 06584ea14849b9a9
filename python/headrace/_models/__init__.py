"""What is known of a model: the price list, and what a request costs."""

__all__ = ["price_list", "prices"]
