"""What an agent does next: policy, no I/O."""

__all__ = ["autonomous", "effects", "spec", "turns"]
