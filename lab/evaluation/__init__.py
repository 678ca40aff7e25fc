"""The measurements that prove the motions: M1 to M9, baselines, ablations, on faces whose truth is known."""
