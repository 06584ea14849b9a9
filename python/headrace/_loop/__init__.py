"""What an agent does next: policy, no I/O."""

__all__ = ["autonomous", "calls", "effects", "spec", "turns"]
