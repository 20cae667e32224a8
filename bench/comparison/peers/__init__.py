"""The peers, one file each."""

from __future__ import annotations

from bench.comparison.peers import by_hand, hips, jax_jit, ours, pytorch
from bench.comparison.peers.peer import Peer

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        ours.Lilith(),
        jax_jit.JaxJit(),
        pytorch.PyTorch(compiled=False),
        pytorch.PyTorch(compiled=True),
        hips.Autograd(),
        by_hand.ByHand(),
    )
}
"""Every peer by its name, Lilith first, then what it is compared with."""
