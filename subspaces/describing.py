"""What a motion is, in words: a line for each fact that is known."""

from __future__ import annotations

from .subspace import Subspace


def describe_motion(motion: Subspace) -> str:
    """What a motion was decoded from, how low its rank is, and what one coefficient unit means."""
    shares = [f"{share:.0%}" for share in motion.explained[:3].tolist()]
    return rows(
        {
            "kind": "motion",
            "name": motion.name,
            "made from": motion.template or motion.source,
            "estimator": motion.estimator,
            "codes": f"{motion.num_layers} layers of {motion.width}, rank {motion.rank}, touching {len(motion.layers)} layers",
            "generator": motion.fingerprint,
            "variance": f"{', '.join(shares)} in the first components, cumulative" if shares else "",
            "effective rank": f"{motion.effective_rank:.2f}" if motion.effective_rank else "",
            "one unit": motion.calibration.unit,
            "own length": f"{norm:g} in the file it came from" if isinstance(norm := motion.parameters.get("norm"), (int, float)) else "",
            "safe range": "{:+.2f} to {:+.2f}".format(*motion.safe_range) if motion.safe_range else "not measured",
            "license": motion.licence,
            "notes": " ".join(motion.notes),
        }
    )


def rows(facts: dict[str, str]) -> str:
    """Names and values in two columns; facts without a value are left out."""
    return "\n".join(f"  {name:<16}{value}" for name, value in facts.items() if value)
