//! The binary: commands, configuration and wiring.
