"""Networks that others published with their weights: face mesh, Whisper, MC3-18, timm's models."""
