//! The only outgoing sockets: address checks, pinning, limits, pooling.
