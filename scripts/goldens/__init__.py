"""Golden files: what PyTorch computes, as the truth that the Rust tests compare with.

Every case is a small safetensors file. Inputs are exact in float32; expected
values are computed in float64 and rounded to float32 once, so that a test may
be strict. Images lie in memory as NHWC, parameters as PyTorch keeps them.
"""
