"""Checkpoint files, one small module per format. The public door is :mod:`micromotion.stylegan2.checkpoint`."""
